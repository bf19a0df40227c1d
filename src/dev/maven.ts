import { writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { run } from './cache.ts';

const COPY_DEPENDENCIES = 'org.apache.maven.plugins:maven-dependency-plugin:3.8.1:copy-dependencies';

/**
 * Fetches artifacts with what they need at run time into `<folder>/libs`.
 *
 * @param artifacts `group:artifact:version`
 */
export async function fetchJars(artifacts: readonly string[], folder: string): Promise<void> {
  const pom = join(folder, 'pom.xml');
  await writeFile(pom, pomOf(artifacts));
  const args = [
    '-B',
    '-q',
    '-f',
    pom,
    COPY_DEPENDENCIES,
    '-DincludeScope=runtime',
    `-DoutputDirectory=${join(folder, 'libs')}`,
  ];
  const { ok, output } = await run('mvn', args, { timeoutMs: 600_000 });
  if (!ok) throw new Error(`Maven could not fetch it: ${output.split('\n').slice(0, 5).join('\n')}`);
}

function pomOf(artifacts: readonly string[]): string {
  const dependencies = artifacts.map((artifact) => {
    const [groupId, artifactId, version] = artifact.split(':');
    return `<dependency><groupId>${groupId}</groupId><artifactId>${artifactId}</artifactId><version>${version}</version></dependency>`;
  });
  return [
    '<project xmlns="http://maven.apache.org/POM/4.0.0"><modelVersion>4.0.0</modelVersion>',
    '<groupId>tidemark</groupId><artifactId>jars</artifactId><version>1</version>',
    '<dependencies>',
    ...dependencies,
    '</dependencies></project>',
    '',
  ].join('\n');
}
