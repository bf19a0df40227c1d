/** Random cases are those of `SEED` where it is given, as `npm test` does; else others each time. */
import fc from 'fast-check';

fc.configureGlobal({ seed: Number(process.env.SEED) });
