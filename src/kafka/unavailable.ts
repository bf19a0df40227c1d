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

const GROUP_ERRORS: Readonly<Record<number, string>> = {
  22: 'the group has members',
  25: 'the group has members',
  29: 'this user may not read the topics',
  30: 'this user may not use the group',
};

export function groupOffsetsRefused(apiName: string, group: string, errorCode: number): Failure {
  const reason = GROUP_ERRORS[errorCode] ?? `${apiName} answers with error code ${errorCode}`;
  const code = errorCode === 29 || errorCode === 30 ? 'KAFKA_NOT_AUTHORIZED' : 'KAFKA_PROTOCOL';
  return new Failure(
    code,
    `The offsets of group ${group} were not published: ${reason}.`,
    'Only lag tools miss them. Grant READ on the group, and let nobody consume under its name.',
  );
}
