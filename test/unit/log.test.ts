import { execFile } from 'node:child_process'
import { promisify } from 'node:util'
import { describe, expect, it } from '@jest/globals'
import { silentLogger } from '../../src/log.ts'

const run = promisify(execFile)
const modules = {
  log: new URL('../../src/log.ts', import.meta.url),
  errors: new URL('../../src/errors.ts', import.meta.url),
}

/** The logger writes to the process's own stderr: a process of its own shows what. */
async function logged(script: string): Promise<{ stdout: string; lines: Record<string, unknown>[] }> {
  const imports = [
    `import { createLogger } from ${JSON.stringify(modules.log.href)}`,
    `import { PgpackError } from ${JSON.stringify(modules.errors.href)}`,
  ]
  const source = [...imports, script].join('\n')
  const { stdout, stderr } = await run(process.execPath, ['--input-type=module', '--eval', source])
  const lines = stderr.split('\n').filter((line) => line !== '')
  return { stdout, lines: lines.map((line) => JSON.parse(line) as Record<string, unknown>) }
}

describe('the logger', () => {
  it('writes JSON lines with level, time, fields and message on stderr and nothing on stdout', async () => {
    const { stdout, lines } = await logged(
      `createLogger('info', { attempt: 'a-1' }).info({ rows: 3 }, 'run succeeded')`,
    )
    expect(stdout).toBe('')
    expect(lines).toEqual([
      {
        level: 'info',
        time: expect.stringMatching(/^\d{4}-\d\d-\d\dT.*Z$/),
        attempt: 'a-1',
        rows: 3,
        msg: 'run succeeded',
      },
    ])
  })

  it('leaves out what is below its level, in its children too', async () => {
    const { lines } = await logged(`
      const log = createLogger('warn', { a: 1 })
      log.debug({}, 'one'); log.info({}, 'two'); log.warn({}, 'three'); log.error({}, 'four')
      log.child({ b: 2 }).info({}, 'five'); log.child({ b: 2 }).error({ c: 3 }, 'six')`)
    expect(lines.map(({ level, msg }) => [level, msg])).toEqual([
      ['warn', 'three'],
      ['error', 'four'],
      ['error', 'six'],
    ])
    expect(lines[2]).toMatchObject({ a: 1, b: 2, c: 3 })
  })

  it('writes an error with its code, its message, its cause and a stack', async () => {
    const { lines } = await logged(`
      const err = new PgpackError('STORE_FULL', 'the volume is full', { cause: new Error('ENOSPC: no space') })
      createLogger('info').error({ err }, 'run failed')`)
    const err = lines[0]?.['err'] as Record<string, unknown>
    expect(err).toMatchObject({ code: 'STORE_FULL', message: expect.stringContaining('the volume is full') })
    expect(err['stack']).toContain('ENOSPC: no space')
  })

  it('blanks fields that are named like secrets, as the last line of defence', async () => {
    const { lines } = await logged(`
      const secret = 'hunter2'
      const log = createLogger('info')
      log.info({ password: secret, secretKey: secret, accessKey: secret, dsn: secret }, 'one')
      log.info({ source: { password: secret, secretKey: secret, accessKey: secret, host: 'db' } }, 'two')`)
    expect(JSON.stringify(lines)).not.toContain('hunter2')
    expect(lines[1]?.['source']).toMatchObject({ host: 'db' })
  })

  it('blanks the secrets of our own configurations: of a store, of a certificate, of a child logger', async () => {
    const { lines } = await logged(`
      const secret = 'hunter2'
      const log = createLogger('info')
      log.info({ secretAccessKey: secret, sessionToken: secret }, 'one')
      log.info({ store: { secretAccessKey: secret, sessionToken: secret } }, 'two')
      log.info({ source: { tls: { key: secret } } }, 'three')
      log.child({ password: secret }).info({}, 'four')`)
    expect(JSON.stringify(lines)).not.toContain('hunter2')
  })
})

describe('the silent logger', () => {
  it('takes everything and its children do, too', () => {
    expect(() => silentLogger.child({ a: 1 }).error({ b: 2 }, 'nobody hears')).not.toThrow()
  })
})
