import { giveBack } from '../release-buffer.ts';

/** Of an answer: no broker sends more for what we ask, and what is no broker may claim anything. */
const ANSWER_BYTES_MAX = 1024 * 1024 * 1024;
/** Of memory that is kept for the next answer: twice an ordinary fetch. */
const KEPT_BYTES_MAX = 8 * 1024 * 1024;
const SIZE_BYTES = 4;
/** The correlation id. */
const ANSWER_BYTES_MIN = 4;

/**
 * Puts the answers on one connection together, from pieces as the socket has read them: a size in 4 bytes, then as many
 * bytes. Each piece is copied once and freed, and the memory of an answer that was released serves the next one.
 */
export class Answers {
  private readonly size = Buffer.alloc(SIZE_BYTES);
  private sizeEnd = 0;
  private answer: Buffer | undefined;
  private answerEnd = 0;
  private kept: Buffer | undefined;

  /** Takes a piece over and returns the answers that it completes. Throws where it claims an impossible size. */
  take(piece: Buffer): Buffer[] {
    const complete: Buffer[] = [];
    for (let at = 0; at < piece.length; ) {
      if (this.answer === undefined) {
        this.size[this.sizeEnd++] = piece[at++] as number;
        if (this.sizeEnd === SIZE_BYTES) this.answer = this.begin(this.size.readInt32BE());
      } else {
        const copied = piece.copy(this.answer, this.answerEnd, at);
        at += copied;
        this.answerEnd += copied;
      }
      if (this.answer !== undefined && this.answerEnd === this.answer.length) {
        complete.push(this.answer);
        this.answer = undefined;
        this.sizeEnd = 0;
      }
    }
    giveBack(piece);
    return complete;
  }

  /** Nobody looks at an answer any more. */
  release({ buffer }: Buffer): void {
    if (buffer.byteLength <= KEPT_BYTES_MAX) this.kept = Buffer.from(buffer);
  }

  private begin(bytes: number): Buffer {
    if (bytes < ANSWER_BYTES_MIN || bytes > ANSWER_BYTES_MAX) throw new Error(`an answer of ${bytes} bytes`);
    const { kept } = this;
    this.kept = undefined;
    this.answerEnd = 0;
    return kept !== undefined && kept.length >= bytes
      ? kept.subarray(0, bytes)
      : Buffer.allocUnsafeSlow(bytes);
  }
}
