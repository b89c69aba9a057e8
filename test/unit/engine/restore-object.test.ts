import { describe, expect, it } from '@jest/globals'
import { pairObjects } from '../../../src/engine/restore-object.ts'
import { type Manifest, type ManifestObject, manifestTotals } from '../../../src/storage/manifest.ts'

/** An object whose rows the segments have written. */
function onSegments(relation: string): ManifestObject {
  const path = `/data/${relation}<SEGID>`
  return {
    name: `public.${relation}`,
    kind: 'Table',
    schema: 'public',
    relation,
    file: `public.${relation}.csv`,
    format: 'CSV',
    copyOptions: { onSegment: path },
    segments: { path, files: [{ segment: 0, host: 'sdw1', path: `/data/${relation}0` }] },
    compression: { method: 'None' },
    columns: [],
    primaryKey: [],
    rows: '1',
    rawBytes: '1',
    storedBytes: '0',
    headSHA256: 'a'.repeat(64),
    bodySHA256: 'b'.repeat(64),
    bodyOffset: 0,
  }
}

const objects = [onSegments('orders'), onSegments('lines')]
const manifest: Manifest = {
  formatVersion: 1,
  createdAt: '2026-11-21T12:00:00.000Z',
  generator: { name: 'pgpack-operator', version: '0.1.0' },
  server: { version: '12.12', versionNumber: 120012, flavour: 'Greenplum', database: 'shop', clientEncoding: 'UTF8' },
  snapshot: '00000003-0000001B-1',
  objects,
  totals: manifestTotals(objects),
}

describe('objects whose files lie on segments', () => {
  const moved = (onSegment: string, objects: Parameters<typeof pairObjects>[1]['objects'] = []) =>
    pairObjects(manifest, { objects, copyOptions: { onSegment } }).map(({ how }) => how.options?.onSegment)

  it('are never two that are read out of the same files', () => {
    expect(() => moved('/moved/<SEGID>')).toThrow(
      expect.objectContaining({ code: 'CONFIG_INVALID', details: { expected: '<OBJECT>', found: '/moved/<SEGID>' } }),
    )
  })

  it('are each read by its name, or by the path of the one that is chosen', () => {
    expect(moved('/moved/<OBJECT><SEGID>')).toEqual(['/moved/public.orders<SEGID>', '/moved/public.lines<SEGID>'])
    const into = (name: string) => ({ from: 'public.lines', to: { schema: 'public', name } })
    expect(moved('/moved/<SEGID>', [into('one'), into('other')])).toEqual(['/moved/<SEGID>', '/moved/<SEGID>'])
  })
})
