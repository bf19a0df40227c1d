/** Kafka protocol, "Protocol Primitive Types". */

/**
 * Big-endian primitives; `flexible` messages have compact lengths (unsigned varint of length + 1) and tag
 * sections.
 */
export class Writer {
  readonly #flexible: boolean;
  readonly #parts: Buffer[] = [];

  constructor(flexible = false) {
    this.#flexible = flexible;
  }

  int8(value: number): this {
    return this.#add(Buffer.of(value & 0xff));
  }

  int32(value: number): this {
    const part = Buffer.alloc(4);
    part.writeInt32BE(value);
    return this.#add(part);
  }

  int64(value: bigint): this {
    const part = Buffer.alloc(8);
    part.writeBigInt64BE(value);
    return this.#add(part);
  }

  string(value: string): this {
    const text = Buffer.from(value);
    if (this.#flexible) return this.#unsignedVarint(text.length + 1).#add(text);
    const length = Buffer.alloc(2);
    length.writeInt16BE(text.length);
    return this.#add(length).#add(text);
  }

  /** Undefined: a null array. */
  arrayLength(length: number | undefined): this {
    return this.#flexible ? this.#unsignedVarint((length ?? -1) + 1) : this.int32(length ?? -1);
  }

  /** The zero id: a topic named by its name. */
  uuid(): this {
    return this.#add(Buffer.alloc(16));
  }

  /** No tagged fields. */
  tags(): this {
    return this.#flexible ? this.#add(Buffer.of(0)) : this;
  }

  buffer(): Buffer {
    return Buffer.concat(this.#parts);
  }

  #unsignedVarint(value: number): this {
    const bytes: number[] = [];
    for (; value >= 0x80; value >>>= 7) bytes.push((value & 0x7f) | 0x80);
    return this.#add(Buffer.of(...bytes, value));
  }

  #add(part: Buffer): this {
    this.#parts.push(part);
    return this;
  }
}

/** Reads what a `Writer` of the other side wrote. Throws RangeError beyond the end. */
export class Reader {
  readonly #payload: Buffer;
  readonly #flexible: boolean;
  #at = 0;

  constructor(payload: Buffer, flexible = false) {
    this.#payload = payload;
    this.#flexible = flexible;
  }

  int8(): number {
    return this.#payload.readInt8(this.#advance(1));
  }

  int16(): number {
    return this.#payload.readInt16BE(this.#advance(2));
  }

  int32(): number {
    return this.#payload.readInt32BE(this.#advance(4));
  }

  int64(): bigint {
    return this.#payload.readBigInt64BE(this.#advance(8));
  }

  /** Undefined for null. */
  string(): string | undefined {
    const length = this.#flexible ? this.#unsignedVarint() - 1 : this.int16();
    if (length < 0) return undefined;
    const start = this.#advance(length);
    return this.#payload.toString('utf8', start, this.#at);
  }

  /** A view, not a copy; empty for null. */
  bytes(): Buffer {
    const length = Math.max(0, this.int32());
    const start = this.#advance(length);
    return this.#payload.subarray(start, this.#at);
  }

  /** Empty for null. */
  array<Item>(item: () => Item): Item[] {
    const length = this.#flexible ? this.#unsignedVarint() - 1 : this.int32();
    const items: Item[] = [];
    for (let i = 0; i < length; i++) items.push(item());
    return items;
  }

  /** 32 hexadecimal digits; undefined for the zero id. */
  uuid(): string | undefined {
    const start = this.#advance(16);
    const id = this.#payload.toString('hex', start, this.#at);
    return /^0+$/.test(id) ? undefined : id;
  }

  /** Skips the tagged fields: none matters here. */
  tags(): void {
    if (!this.#flexible) return;
    for (let fields = this.#unsignedVarint(); fields > 0; fields--) {
      this.#unsignedVarint();
      this.#advance(this.#unsignedVarint());
    }
  }

  #unsignedVarint(): number {
    let value = 0;
    for (let scale = 1; scale < 2 ** 35; scale *= 2 ** 7) {
      const byte = this.int8() & 0xff;
      value += (byte & 0x7f) * scale;
      if (byte < 0x80) return value;
    }
    throw new RangeError('an unsigned varint of more than five bytes');
  }

  /** Moves on, and returns where it was. */
  #advance(bytes: number): number {
    const start = this.#at;
    this.#at += bytes;
    if (this.#at > this.#payload.length) throw new RangeError('the message is shorter than it claims');
    return start;
  }
}
