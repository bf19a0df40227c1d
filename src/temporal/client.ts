import { Client, Connection, isGrpcServiceError, ServiceError } from '@temporalio/client';
import { Failure, firstLine } from '../errors.ts';
import { temporalConnection, temporalUnreachable } from './connection.ts';

const CONNECT_WITHIN_MS = 3_000;
const GRPC_INVALID_ARGUMENT = 3;
const GRPC_NOT_FOUND = 5;

/**
 * A client of the Temporal server that the `temporal` CLI would use too: TEMPORAL_ADDRESS, TEMPORAL_NAMESPACE, TLS, API
 * key, or the profile in temporal.toml. Whoever calls it closes `client.connection`.
 *
 * Throws TEMPORAL_UNREACHABLE within seconds, naming the address, and where the server lacks the namespace.
 */
export async function connectTemporal(): Promise<Client> {
  const { options, namespace } = temporalConnection();
  const { address } = options;
  const connection = await Connection.connect({ ...options, connectTimeout: CONNECT_WITHIN_MS }).catch(
    (cause) => {
      throw temporalUnreachable(address, cause);
    },
  );
  try {
    await connection.workflowService.describeNamespace({ namespace });
  } catch (cause) {
    // Whoever may not describe a namespace may still be allowed to use it.
    if ((cause as { code?: unknown }).code === GRPC_NOT_FOUND) {
      await connection.close();
      throw new Failure(
        'TEMPORAL_UNREACHABLE',
        `The Temporal server at ${address} has no namespace ${namespace}.`,
        `Name another with TEMPORAL_NAMESPACE, or create it: temporal operator namespace create --namespace ${namespace}`,
        { cause },
      );
    }
  }
  return new Client({ connection, namespace });
}

/**
 * Runs `work` with a connected client and closes the connection after it. What the server refuses ends as
 * CONFIGURATION_INVALID where it is about our arguments, else as TEMPORAL_UNREACHABLE.
 */
export async function withTemporal<T>(work: (client: Client) => Promise<T>): Promise<T> {
  const client = await connectTemporal();
  try {
    return await work(client);
  } catch (error) {
    const cause = error instanceof ServiceError ? (error.cause ?? error) : error;
    if (!isGrpcServiceError(cause)) throw error;
    if (cause.code === GRPC_INVALID_ARGUMENT) {
      const message = `Temporal rejected this: ${firstLine(cause.details)}.`;
      throw new Failure('CONFIGURATION_INVALID', message, 'Change what the message names.', { cause });
    }
    const fix = 'Check the server, and what TEMPORAL_NAMESPACE and TEMPORAL_API_KEY allow; then try again.';
    throw new Failure(
      'TEMPORAL_UNREACHABLE',
      `Temporal refused the request, or the connection was lost: ${firstLine(cause)}.`,
      fix,
      {
        cause,
      },
    );
  } finally {
    await client.connection.close();
  }
}
