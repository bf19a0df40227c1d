/**
 * Process entry of `servers.test.ts`: starts both servers, names their processes, and ends as the argument
 * says.
 */
import { startKafka } from '../../../src/dev/kafka-server.ts';
import { startTemporal } from '../../../src/dev/temporal-server.ts';

const [kafka, temporal] = await Promise.all([startKafka(), startTemporal()]);
console.log(JSON.stringify({ pids: [kafka.nodes[0]?.pid, temporal.pid], logFile: kafka.nodes[0]?.logFile }));
const end = process.argv[2];
if (end === 'exit') setTimeout(() => process.exit(0), 500);
else if (end === 'failure')
  setTimeout(() => {
    throw new Error('a failure on purpose');
  }, 500);
else setInterval(() => {}, 1000);
