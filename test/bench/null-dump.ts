/**
 * A dump whose bytes go nowhere, with the engine as it is: `node null-dump.js <dsn> <table> <method> <connections>`.
 * The bench bundles it, so that it starts as `pgpack` does.
 */
import type { WritableMethod } from '../../src/compression/method.ts'
import { dumpFile } from '../../src/engine/dump.ts'
import { ProgressMeter } from '../../src/engine/progress.ts'
import { createLogger } from '../../src/log.ts'
import { parseDsn } from '../../src/postgres/dsn.ts'
import type { ObjectStore, ObjectUpload } from '../../src/storage/store.ts'

class NullUpload implements ObjectUpload {
  size = 0

  async write(chunk: Buffer): Promise<void> {
    this.size += chunk.length
  }

  async complete(): Promise<{ key: string; size: number }> {
    return { key: 'null', size: this.size }
  }

  async abort(): Promise<void> {}
}

const nothing = (): never => {
  throw new Error('the null store is only written to')
}
const store: ObjectStore = {
  location: 'null',
  upload: () => new NullUpload(),
  read: nothing,
  stat: nothing,
  list: nothing,
  remove: nothing,
  abortUploads: nothing,
  check: async () => undefined,
  close: () => undefined,
}

const [dsn = '', name = '', method = 'None', connections = '1'] = process.argv.slice(2)
const progress = new ProgressMeter(() => undefined, { now: () => performance.now(), intervalMs: 1000 })
await dumpFile(
  {
    source: parseDsn(dsn, {}),
    object: { table: { schema: 'public', name } },
    connections: Number(connections),
    compression: { method: method as WritableMethod },
    store,
    key: 'null',
  },
  { signal: new AbortController().signal, log: createLogger('warn'), progress },
)
