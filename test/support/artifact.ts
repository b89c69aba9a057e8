import { Readable } from 'node:stream'
import { decompress } from '../../src/compression/decompress.ts'
import { openSource } from '../../src/engine/load.ts'
import { PGPackReader } from '../../src/pgpack/reader.ts'
import { type Manifest, type ManifestObject, readManifest } from '../../src/storage/manifest.ts'
import type { ObjectStore } from '../../src/storage/store.ts'
import { collect } from './bytes.ts'
import { copyIn } from './copy.ts'
import type { TestDatabase } from './postgres.ts'

const never = new AbortController().signal

/** A finished dump, as a test looks at it; nothing of the restore is used. */
export interface Artifact {
  readonly manifest: Manifest
  object(name: string): ManifestObject
  /** The file's bytes as they are stored. */
  file(name: string): Promise<Buffer>
  /** What COPY sent: decompressed, without a PGPack file's head. */
  raw(name: string): Promise<Buffer>
  /** Loads an object into a table of the same columns, by pg-copy-streams. */
  load(name: string, database: TestDatabase, table: string, clause?: string): Promise<void>
}

export async function openArtifact(store: ObjectStore, path: string): Promise<Artifact> {
  const { manifest } = await readManifest(store, path, never)
  const object = (name: string) => {
    const found = manifest.objects.find((candidate) => candidate.name === name)
    if (found !== undefined) return found
    throw new Error(`no object ${name}, but ${manifest.objects.map((one) => one.name).join(', ')}`)
  }
  const file = (name: string) => collect(store.read(`${path}/${object(name).file}`, never))
  const raw = async (name: string) => {
    const { format, compression, file: key } = object(name)
    if (format === 'PGPack') {
      const reader = await PGPackReader.open(await openSource(store, `${path}/${key}`, never))
      return collect(reader.body())
    }
    return collect(decompress(compression.method, Readable.from([await file(name)])))
  }
  return {
    manifest,
    object,
    file,
    raw,
    load: async (name, database, table, clause = '(FORMAT binary)') => {
      const columns = object(name).columns.map((column) => `"${column.name.replaceAll('"', '""')}"`)
      await copyIn(database, `COPY ${table} (${columns.join(', ')}) FROM STDIN ${clause}`, await raw(name))
    },
  }
}
