import { Failure } from '../errors.ts';

/** Nobody answers for a partition just now: worth another try on fresh metadata. */
export class Unavailable extends Error {
  override readonly name = 'Unavailable';
}

/** The partition, or its topic, is not in the metadata. */
export class UnknownPartition extends Unavailable {}

export function unreachable(error: Unavailable): Failure {
  return new Failure(
    'KAFKA_UNREACHABLE',
    `No Kafka broker answers.\n${error.message}`,
    'Check source.bootstrapServers and that the brokers are up; `tidemark dev` starts one.',
    { cause: error },
  );
}

export function notAuthorized(topics: readonly string[]): Failure {
  return new Failure(
    'KAFKA_NOT_AUTHORIZED',
    `Kafka does not let this user read ${topics.join(', ')}.`,
    'Grant READ and DESCRIBE on the topics; no consumer group is used.',
  );
}

export function protocolFailure(apiName: string, object: string, errorCode: number): Failure {
  return new Failure(
    'KAFKA_PROTOCOL',
    `The broker answers ${apiName} for ${object} with error code ${errorCode}.`,
    'https://kafka.apache.org/protocol#protocol_error_codes says what it means.',
  );
}
