/** Decodes the RLE / bit-packed hybrid as Encodings.md tells it; nothing may follow the last run. */
export function decodeHybrid(bytes: Uint8Array, bitWidth: number, count: number): number[] {
  const values: number[] = [];
  let at = 0;
  while (values.length < count) {
    let header = 0;
    for (let shift = 1; ; shift *= 128) {
      const byte = bytes[at++] as number;
      header += (byte & 0x7f) * shift;
      if (byte < 0x80) break;
    }
    if (header % 2 === 0) {
      let value = 0;
      for (let i = 0; i < Math.ceil(bitWidth / 8); i++) value += (bytes[at++] as number) * 256 ** i;
      for (let i = 0; i < header / 2; i++) values.push(value);
    } else {
      const groups = (header - 1) / 2;
      for (let i = 0; i < groups * 8; i++) {
        let value = 0;
        for (let bit = 0; bit < bitWidth; bit++) {
          const position = i * bitWidth + bit;
          value += (((bytes[at + (position >> 3)] as number) >> (position & 7)) & 1) * 2 ** bit;
        }
        values.push(value);
      }
      at += groups * bitWidth;
    }
  }
  if (at !== bytes.length) throw new Error(`${bytes.length - at} bytes after the last run`);
  if (values.slice(count).some((padding) => padding !== 0)) throw new Error('padding that is not zero');
  return values.slice(0, count);
}
