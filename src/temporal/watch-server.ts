import { firstLine } from '../errors.ts';
import { formatDuration } from '../format.ts';

const ASK_EVERY_MS = 10_000;

/**
 * Says when a server stops answering, and when it answers again: a worker that polls in vain is silent
 * otherwise.
 *
 * @param ask rejects where the server does not answer; never waits long
 * @returns ends it
 */
export function watchServer(
  address: string,
  ask: () => Promise<unknown>,
  say: (line: string) => void,
): () => void {
  let lostAtMs: number | undefined;
  const look = async () => {
    try {
      await ask();
      if (lostAtMs !== undefined)
        say(`Temporal at ${address} answers again, after ${formatDuration(Date.now() - lostAtMs)}.`);
      lostAtMs = undefined;
    } catch (cause) {
      if (lostAtMs !== undefined) return;
      lostAtMs = Date.now();
      say(
        `Temporal at ${address} does not answer (${firstLine(cause)}). ` +
          'This worker gets no work until it does. It keeps trying; nothing is lost.',
      );
    }
  };
  const timer = setInterval(() => void look(), ASK_EVERY_MS).unref();
  return () => clearInterval(timer);
}
