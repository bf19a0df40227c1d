import { isUtf8 } from 'node:buffer';
import { type LetterState, lettersAt, letterTime, openDeadLetters } from '../letters/dead-letter-table.ts';
import type { StoredLetter } from '../letters/stored-letters.ts';
import type { Specification } from '../pipeline/specification.ts';
import type { Outside } from '../runs/outside.ts';
import type { ListedLetter } from './dead-letters.ts';

/** A dead letter byte for byte, as its table has it. */
export interface WholeLetter extends StoredLetter {
  readonly state: LetterState;
}

/** For JSON, which has no bytes. */
export interface LetterJson extends ListedLetter {
  /** Of the defect within the value; null where it has no place. */
  readonly byteOffset: number | null;
  readonly key: BytesJson | null;
  readonly headers: readonly { readonly key: string; readonly value: BytesJson | null }[] | null;
  readonly value: BytesJson;
  readonly run: string;
  readonly batch: string;
}

/** As text where they are text, else in hexadecimal. */
export type BytesJson = { readonly text: string } | { readonly hex: string };

/**
 * The letters of one offset, oldest first: several where a topic was accepted again and has the offset a
 * second time. Throws TABLE_NOT_FOUND where nothing was drained yet.
 */
export async function readLetters(
  specification: Specification,
  outside: Outside,
  place: Pick<StoredLetter, 'topic' | 'partition' | 'offset'>,
): Promise<WholeLetter[]> {
  const letters: WholeLetter[] = [];
  for await (const letter of lettersAt(await openDeadLetters(specification, outside), place, []))
    letters.push({ ...(await letter.whole()), state: letter.state });
  return letters;
}

export function letterJson(letter: WholeLetter): LetterJson {
  const { topic, partition, offset, epoch, state, reason, path, byte_offset, message, run, batch } = letter;
  return {
    topic,
    partition,
    offset,
    epoch,
    time: letterTime(letter),
    state,
    reason,
    path,
    byteOffset: byte_offset,
    message,
    key: letter.key && bytesToJson(letter.key),
    headers: letter.headers?.map(({ key, value }) => ({ key, value: value && bytesToJson(value) })) ?? null,
    value: bytesToJson(letter.value),
    run,
    batch,
  };
}

function bytesToJson(bytes: Uint8Array): BytesJson {
  const buffer = Buffer.from(bytes);
  return isUtf8(buffer) ? { text: buffer.toString('utf8') } : { hex: buffer.toString('hex') };
}
