/** A store in memory whose every call waits for its turn, and a scheduler that gives turns by a seed: any interleaving can be had again. */
import { Failure } from '../../src/errors.ts';
import type { ObjectEntry, ObjectStat, ObjectStore } from '../../src/storage/object-store.ts';

/** The process that made a call is gone. */
export class Crash extends Error {}

export type Random = () => number;

export interface Chances {
  /** Per call: the caller dies before or after it. */
  readonly crash: number;
  /** Per put: it happened, and is told as failed. */
  readonly loseAnswer: number;
  /** Per call: the caller freezes for a while. */
  readonly freeze: number;
}

const FREEZES_FOR_TURNS = 80;

/** Actors take turns, one call at a time; which one is next, and what becomes of its call, the seed decides. */
export class Scheduler {
  /** Turns so far: the simulation's clock. */
  now = 1_000;
  private readonly random: Random;
  private readonly chances: Chances;
  private readonly waiting: { readonly actor: string; readonly go: () => void }[] = [];
  private readonly frozenUntil = new Map<string, number>();
  private running = 0;

  constructor(random: Random, chances: Chances) {
    this.random = random;
    this.chances = chances;
  }

  /** Runs all actors to their ends. */
  async run(actors: Readonly<Record<string, () => Promise<void>>>): Promise<void> {
    const failures: unknown[] = [];
    for (const work of Object.values(actors)) {
      this.running++;
      void work()
        .catch((error: unknown) => failures.push(error))
        .finally(() => this.running--);
    }
    while (this.running > 0) {
      await new Promise((resolve) => setImmediate(resolve));
      if (failures.length > 0) throw failures[0];
      // Whoever is not waiting is at work, or sleeps for a moment: the seed alone shall decide who is next.
      if (new Set(this.waiting.map(({ actor }) => actor)).size === this.running) this.next()?.go();
    }
  }

  /** Settles when it is this actor's turn. Throws `Crash`. */
  async turn(actor: string): Promise<void> {
    await new Promise<void>((go) => this.waiting.push({ actor, go }));
    if (this.random() < this.chances.freeze) {
      this.frozenUntil.set(actor, this.now + Math.ceil(this.random() * FREEZES_FOR_TURNS));
      await new Promise<void>((go) => this.waiting.push({ actor, go }));
    }
    if (this.random() < this.chances.crash) throw new Crash(`${actor} dies`);
  }

  losesAnswer(): boolean {
    return this.random() < this.chances.loseAnswer;
  }

  private next() {
    this.now++;
    const ready = this.waiting.filter(({ actor }) => (this.frozenUntil.get(actor) ?? 0) <= this.now);
    if (ready.length === 0) return undefined;
    const chosen = ready[Math.floor(this.random() * ready.length)];
    if (chosen !== undefined) this.waiting.splice(this.waiting.indexOf(chosen), 1);
    return chosen;
  }
}

/** What is stored, whoever looks. */
export type Objects = Map<string, { readonly content: Buffer; readonly modifiedMs: number }>;

/** The view that one actor has of the objects. */
export function simulatedStore(
  objects: Objects,
  root: string,
  actor: string,
  scheduler: Scheduler,
): ObjectStore {
  const call = async <T>(work: () => T): Promise<T> => {
    await scheduler.turn(actor);
    return work();
  };
  const put = async <T>(work: () => T): Promise<T> => {
    const done = await call(work);
    if (!scheduler.losesAnswer()) return done;
    throw new Failure('STORAGE_FAILED', `${root}: the answer was lost.`, 'It is tried again.');
  };
  const store = (path: string, content: Uint8Array) => {
    objects.set(path, { content: Buffer.from(content), modifiedMs: scheduler.now });
  };
  const statOf = (path: string): ObjectStat | undefined => {
    const found = objects.get(path);
    return found && { sizeBytes: found.content.length, modifiedMs: found.modifiedMs };
  };
  return {
    root,
    url: (path) => `${root}/${path}`,
    read: (path) => call(() => objects.get(path)?.content),
    readRange: (path, start, end) => call(() => objects.get(path)?.content.subarray(start, end)),
    stat: (path) => call(() => statOf(path)),
    list: (prefix, startAfter = '') =>
      call(() =>
        [...objects.keys()]
          .filter((path) => path.startsWith(prefix) && path > startAfter)
          .sort()
          .flatMap((path): ObjectEntry[] => {
            const stat = statOf(path);
            return stat === undefined ? [] : [{ path, ...stat }];
          }),
      ),
    putIfAbsent: (path, content) =>
      put(() => {
        if (objects.has(path)) return 'exists';
        store(path, content);
        return 'created';
      }),
    put: (path, content) => put(() => store(path, content)),
    delete: (path) => call(() => void objects.delete(path)),
    adopt: () => call(() => undefined),
    deleteUnfinished: () => call(() => ({ count: 0, bytes: 0 })),
    create: async (path) => {
      const parts: Uint8Array[] = [];
      return {
        write: async (bytes) => void parts.push(bytes),
        finish: () =>
          call(() => {
            store(path, Buffer.concat(parts));
            return { sizeBytes: objects.get(path)?.content.length ?? 0, modifiedMs: scheduler.now };
          }),
        abort: async () => {},
      };
    },
  };
}
