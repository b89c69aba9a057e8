import { PgpackError } from '../errors.ts'
import { type Distribution, distributionOf } from '../postgres/catalog-parts.ts'
import type { PostgresConnection } from '../postgres/connection.ts'
import { copyOnSegments, type SegmentFile, segmentFiles } from '../postgres/copy-segments.ts'
import { copiesOfRows } from '../postgres/error-log.ts'
import type { QualifiedName } from '../postgres/identifiers.ts'
import type { RelationInfo } from '../postgres/types.ts'
import type { RestoreMode } from '../run/config.ts'
import type { ManifestObject } from '../storage/manifest.ts'
import type { Load, Received } from './load.ts'
import { checkFileRole } from './segments.ts'

/** Rows that every segment reads out of a file on its own host. */
export interface SegmentPart {
  readonly onSegments: true
  readonly storedBytes: 0n
  /** By the manifest. */
  readonly rows: bigint
}

/**
 * Has the segments load their files, within the caller's transaction.
 * @throws PgpackError MANIFEST_MISMATCH for files that hold other rows than were dumped
 */
export async function loadFromSegments(
  session: PostgresConnection,
  load: Pick<Load, 'statement' | 'counting'>,
  { rows }: SegmentPart,
  { into, signal }: { readonly into: QualifiedName; readonly signal: AbortSignal },
): Promise<Received> {
  const result = await copyOnSegments(session, load.statement(into), { signal })
  const copies = await copiesOfRows(session, into)
  const counted = result.rows / BigInt(copies)
  const refused = result.rejectedRows / BigInt(copies)
  // A malformed line can hold several rows, and a condition leaves some out.
  if (refused > 0n || counted === rows || load.counting === 'Open') {
    return { sent: counted + refused, counted, refused, rawBytes: 0n, copies }
  }
  const message = `the files on the segments hold ${counted} rows and the manifest says ${rows}: something has written over them since`
  throw new PgpackError('MANIFEST_MISMATCH', message, { expected: `${rows} rows`, found: `${counted} rows` })
}

type Segments = NonNullable<ManifestObject['segments']>

/** What the manifest says of an object whose rows lie on the segments. */
interface Dumped {
  readonly segments: Segments
  readonly distribution: ManifestObject['distribution'] | undefined
}

/** Everything that can be known before the segments open their files. @throws PgpackError */
export async function checkSegments(
  session: PostgresConnection,
  { segments, distribution }: Dumped,
  path: string,
  target: { readonly relation: RelationInfo | undefined; readonly mode: RestoreMode },
): Promise<void> {
  await checkFileRole(session, 'From')
  const files = await segmentFiles(session, path)
  checkSameSegments(segments, files)
  checkSizes(segments, path, files)
  await checkDistribution(session, distribution, target)
}

function checkSameSegments({ files: written }: Segments, files: readonly SegmentFile[]): void {
  const list = (all: readonly { readonly segment: number }[]) => all.map(({ segment }) => segment).join(', ')
  const [expected, found] = [list(written), list(files)]
  if (expected === found) return
  const message = `segments ${expected} have written the files and the target has segments ${found}, each of which reads its own: dump it into a store`
  throw new PgpackError('OBJECT_UNSUPPORTED', message, { expected: `segments ${expected}`, found: `segments ${found}` })
}

/** Files in another place than the manifest says may be other files. */
function checkSizes({ path: dumped, files: written }: Segments, path: string, files: readonly SegmentFile[]): void {
  for (const { segment, host, path: file, bytes } of files) {
    if (bytes === undefined) continue
    const expected = path === dumped ? written.find((one) => one.segment === segment)?.bytes : undefined
    if (bytes !== null && (expected === undefined || expected === String(bytes))) continue
    const found = bytes === null ? 'nothing' : `${bytes} bytes`
    const wanted = expected === undefined ? 'a file' : `${expected} bytes`
    const message = `segment ${segment} has ${found} in ${file} on ${host}, where the dump left ${wanted}`
    throw new PgpackError('MANIFEST_MISMATCH', message, { expected: wanted, found })
  }
}

/**
 * A segment takes only rows that belong to it. A table that is replaced is filled from one that takes every row
 * anywhere, and would get those of a replicated one once from each segment.
 */
async function checkDistribution(
  session: PostgresConnection,
  distribution: Dumped['distribution'],
  { relation, mode }: { readonly relation: RelationInfo | undefined; readonly mode: RestoreMode },
): Promise<void> {
  const into = relation === undefined ? distribution : await distributionOf(session, relation)
  const through: Distribution | undefined = mode === 'Replace' ? { policy: 'Random', columns: [] } : into
  const [expected, found] = [describe(distribution), describe(through)]
  const fits = expected === found || (through?.policy === 'Random' && distribution?.policy !== 'Replicated')
  if (fits) return
  const how =
    mode === 'Replace' ? 'Replace loads it into a table distributed randomly: use Truncate' : 'dump it into a store'
  const message = `its rows were distributed ${expected} and would go into a table distributed ${found}, whose segments would have to read each other's files; ${how}`
  throw new PgpackError('TARGET_MISMATCH', message, { expected, found })
}

function describe(distribution: { readonly policy: string; readonly columns: readonly string[] } | undefined): string {
  if (distribution === undefined) return 'nowhere'
  const { policy, columns } = distribution
  return policy === 'Hash' ? `by ${columns.join(', ')}` : policy === 'Random' ? 'randomly' : 'replicated'
}
