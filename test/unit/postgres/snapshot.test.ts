import { describe, expect, it } from '@jest/globals'
import { checkSnapshots } from '../../../src/postgres/snapshot.ts'

const greenplum = (version: string) =>
  `PostgreSQL 9.4.26 (Greenplum Database ${version} build commit:25d3498a) on x86_64`

describe('a snapshot for several sessions', () => {
  it.each([
    'PostgreSQL 18.3 on x86_64',
    greenplum('6.23.0'),
    greenplum('6.24.3'),
    'PostgreSQL 12.12 (Greenplum Database 7.0.0 build commit:0a7a3566) on x86_64',
    'PostgreSQL 14.4 (Cloudberry Database 1.5.2 build dev) on x86_64',
  ])('is shared on %s', (version) => {
    expect(() => checkSnapshots('db:5432/app', version)).not.toThrow()
  })

  it.each(['6.0.1', '6.9.0', '6.20.5', '6.21.0', '6.22.2'])('is refused on Greenplum %s', (version) => {
    const refused = expect(() => checkSnapshots('db:5432/app', greenplum(version)))
    refused.toThrow(/^db:5432\/app is Greenplum Database 6\.\d+, .* use one connection, or .* 6\.23 or later$/)
    refused.toThrow(expect.objectContaining({ code: 'CONFIG_INVALID' }))
  })
})
