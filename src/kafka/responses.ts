import { releaseBuffer } from '../release-buffer.ts';

/**
 * Of a response: no broker sends more for our requests, and a server that is not a broker may claim any size.
 */
const RESPONSE_BYTES_MAX = 1024 * 1024 * 1024;
/** Of memory that is kept for the next response: twice an ordinary fetch. */
const KEPT_BYTES_MAX = 8 * 1024 * 1024;
const SIZE_BYTES = 4;
/** The correlation id. */
const RESPONSE_BYTES_MIN = 4;

/**
 * Puts the responses on one connection together, from pieces as the socket has read them: a size in 4 bytes,
 * then as many bytes. Each piece is copied once and freed, and the memory of a response that was released
 * serves the next one.
 */
export class Responses {
  private readonly size = Buffer.alloc(SIZE_BYTES);
  private sizeEnd = 0;
  private response: Buffer | undefined;
  private responseEnd = 0;
  private kept: Buffer | undefined;

  /**
   * Takes a piece over and returns the responses that it completes. Throws where it claims an impossible
   * size.
   */
  take(piece: Buffer): Buffer[] {
    const complete: Buffer[] = [];
    for (let at = 0; at < piece.length; ) {
      if (this.response === undefined) {
        this.size[this.sizeEnd++] = piece[at++] as number;
        if (this.sizeEnd === SIZE_BYTES) this.response = this.begin(this.size.readInt32BE());
      } else {
        const copied = piece.copy(this.response, this.responseEnd, at);
        at += copied;
        this.responseEnd += copied;
      }
      if (this.response !== undefined && this.responseEnd === this.response.length) {
        complete.push(this.response);
        this.response = undefined;
        this.sizeEnd = 0;
      }
    }
    releaseBuffer(piece);
    return complete;
  }

  /** Nobody looks at a response any more. */
  release({ buffer }: Buffer): void {
    if (buffer.byteLength <= KEPT_BYTES_MAX) this.kept = Buffer.from(buffer);
  }

  private begin(bytes: number): Buffer {
    if (bytes < RESPONSE_BYTES_MIN || bytes > RESPONSE_BYTES_MAX)
      throw new Error(`an answer of ${bytes} bytes`);
    const { kept } = this;
    this.kept = undefined;
    this.responseEnd = 0;
    return kept !== undefined && kept.length >= bytes
      ? kept.subarray(0, bytes)
      : Buffer.allocUnsafeSlow(bytes);
  }
}
