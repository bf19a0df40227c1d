/**
 * A store in memory whose every call waits for its turn, and a scheduler that gives turns by a seed: any
 * interleaving can be had again.
 */
import { Failure } from '../../src/errors.ts';
import { ForwardingStore, type StoreCall } from '../../src/storage/forwarding-store.ts';
import type { ObjectStore } from '../../src/storage/object-store.ts';
import { MemoryStore, type StoredObjects } from './memory-store.ts';

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

/**
 * Actors take turns, one call at a time; which one is next, and what becomes of its call, the seed decides.
 */
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

export type Objects = StoredObjects;

/** The view that one actor has of the objects. */
export function simulatedStore(
  objects: Objects,
  root: string,
  actor: string,
  scheduler: Scheduler,
): ObjectStore {
  return new SimulatedStore(new MemoryStore(objects, root, () => scheduler.now), actor, scheduler);
}

/** A file in parts comes to be at its end, so nobody waits for a turn before. */
const WITHOUT_TURN: ReadonlySet<StoreCall['method']> = new Set(['create', 'write', 'abort']);

class SimulatedStore extends ForwardingStore {
  private readonly actor: string;
  private readonly scheduler: Scheduler;

  constructor(store: ObjectStore, actor: string, scheduler: Scheduler) {
    super(store);
    this.actor = actor;
    this.scheduler = scheduler;
  }

  protected override async call<T>({ method }: StoreCall, work: () => Promise<T>): Promise<T> {
    if (WITHOUT_TURN.has(method)) return await work();
    await this.scheduler.turn(this.actor);
    const done = await work();
    const isPut = method === 'put' || method === 'putIfAbsent';
    if (!isPut || !this.scheduler.losesAnswer()) return done;
    throw new Failure('STORAGE_FAILED', `${this.root}: the answer was lost.`, 'It is tried again.');
  }
}
