import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterEach, beforeEach, describe, expect, it } from '@jest/globals'
import { databaseFromMounts } from '../../../src/cli/mounts.ts'

let secretDir: string
beforeEach(() => {
  secretDir = mkdtempSync(join(tmpdir(), 'pgpack-mounts-'))
})
afterEach(() => rmSync(secretDir, { recursive: true }))

function write(files: Readonly<Record<string, string>>): void {
  for (const [name, content] of Object.entries(files)) writeFileSync(join(secretDir, name), content)
}

describe('databaseFromMounts', () => {
  it('reads a mounted Secret as the kubelet lays it out', async () => {
    write({ username: 'u', password: 'pw', host: 'h', dbname: 'd' })
    mkdirSync(join(secretDir, '..2026_11_21'))
    expect(await databaseFromMounts({ secretDir, tls: {} })).toEqual({
      host: 'h',
      port: 5432,
      database: 'd',
      user: 'u',
      password: 'pw',
      tls: { mode: 'Prefer' },
    })
  })

  it('takes what the resource says first, and leaves the rest to the uri', async () => {
    write({
      uri: 'postgres://u:pw@a,b/d?sslmode=require&target_session_attrs=standby',
      'ca.crt': 'CA',
      'tls.key': 'KEY',
    })
    const [caFile, keyFile] = [join(secretDir, 'ca.crt'), join(secretDir, 'tls.key')]
    const config = { secretDir, host: 'c:1,d', targetSessionAttrs: 'ReadWrite', tls: { caFile, keyFile } } as const
    expect(await databaseFromMounts(config)).toMatchObject({
      hosts: [
        { host: 'c', port: 1 },
        { host: 'd', port: 5432 },
      ],
      targetSessionAttrs: 'ReadWrite',
      tls: { mode: 'Require', ca: 'CA', key: 'KEY' },
    })
    const strict = await databaseFromMounts({ secretDir, tls: { mode: 'VerifyFull', channelBinding: 'Require' } })
    expect(strict).toMatchObject({
      targetSessionAttrs: 'Standby',
      tls: { mode: 'VerifyFull', channelBinding: 'Require' },
    })
  })

  it.each([
    ['secretDir', { secretDir: '/nowhere', tls: {} }, /the secret mounted at \/nowhere cannot be read/],
    [
      'a certificate',
      { secretDir: '/', tls: { caFile: '/nowhere.crt' } },
      /certificate file \/nowhere.crt cannot be read/,
    ],
  ])('names the place of %s that is not there', async (_, config, message) => {
    const place = config.secretDir === '/' ? { ...config, secretDir } : config
    await expect(databaseFromMounts(place)).rejects.toMatchObject({ code: 'CONFIG_INVALID', message })
  })
})
