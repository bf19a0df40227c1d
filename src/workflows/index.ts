/** Every export here is a workflow type that anybody can start: nothing else may be exported. */
export { compact } from './compact.ts';
export { drain } from './drain.ts';
export { retryDeadLetters } from './retry-dead-letters.ts';
export { vacuum } from './vacuum.ts';
