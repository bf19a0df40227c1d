import { type ClientConnectConfig, loadClientConnectConfig } from '@temporalio/envconfig';
import { Failure, firstLine } from '../errors.ts';

/** Where Temporal is, as the `temporal` CLI finds it. */
export interface TemporalConnection {
  readonly options: ClientConnectConfig['connectionOptions'] & { readonly address: string };
  readonly namespace: string;
}

/**
 * TEMPORAL_ADDRESS, TEMPORAL_NAMESPACE, TLS, API key, or the profile in temporal.toml.
 * Throws CONFIGURATION_INVALID where they contradict each other.
 */
export function temporalConnection(): TemporalConnection {
  try {
    const { connectionOptions, namespace = 'default' } = loadClientConnectConfig();
    return {
      options: { ...connectionOptions, address: connectionOptions.address ?? 'localhost:7233' },
      namespace,
    };
  } catch (cause) {
    throw new Failure(
      'CONFIGURATION_INVALID',
      `The connection to Temporal is not configured correctly: ${firstLine(cause)}.`,
      'Check the TEMPORAL_* variables and temporal.toml (`temporal config get`).',
      { cause },
    );
  }
}

export function temporalUnreachable(address: string, cause: unknown): Failure {
  return new Failure(
    'TEMPORAL_UNREACHABLE',
    `No Temporal server answers at ${address} (${firstLine(cause)}).`,
    'Start one (`tidemark dev`), or name yours with TEMPORAL_ADDRESS, TEMPORAL_NAMESPACE or a profile of the temporal CLI.',
    { cause },
  );
}
