import { beforeEach, describe, expect, it } from '@jest/globals'
import {
  checkRejectsPlace,
  commitRejects,
  discardRejects,
  RejectsFile,
  rejectsBeside,
  rejectsOf,
  rejectsOutcome,
} from '../../../src/engine/rejects.ts'
import { noTotals } from '../../../src/engine/totals.ts'
import { PgpackError } from '../../../src/errors.ts'
import { FilesystemStore } from '../../../src/storage/filesystem.ts'
import type { ObjectStore } from '../../../src/storage/store.ts'
import { collect, never } from '../../support/bytes.ts'
import { keysIn, testContext, useFolder } from '../../support/engine.ts'

const folder = useFolder()
let store: FilesystemStore

beforeEach(() => {
  store = new FilesystemStore(folder.path)
})

/** What a COPY gives: two rows in two pieces, and an error behind them where there is one. */
function copyOf(fault?: Error) {
  let released = 0
  async function* pieces() {
    for (const text of ['a\n', 'b\n'])
      yield { data: Buffer.from(text), rows: 1, trailer: false, release: () => void released++ }
    if (fault !== undefined) throw fault
  }
  return { rowCount: 2n, [Symbol.asyncIterator]: pieces, released: () => released }
}

/** A file as it is when its COPY is done and its transaction open. */
async function written(name: string, of: ObjectStore = store) {
  const rejects = new RejectsFile({ store: of, path: 'rejects' }, name)
  await rejects.fill(copyOf(), never())
  return { rejects }
}

describe('the place of refused rows', () => {
  it('is the same for every attempt of a run', () => {
    expect(rejectsBeside(store, 'shop/orders/a1', 'uid-1').path).toBe('shop/orders/a1/rejects/uid-1')
    expect(rejectsBeside(store, '', 'a/../b c').path).toBe('rejects/a%2F%2E%2E%2Fb%20c')
  })

  it('is named by the time of a run that has no name', () => {
    expect(rejectsBeside(store, 'run', undefined).path).toMatch(/^run\/rejects\/\d{4}-\d\d-\d\dT\d\d-\d\d-\d\d-\d{3}Z$/)
  })

  it('can be written to, and nothing of the attempt stays', async () => {
    await checkRejectsPlace({ store, path: 'rejects/uid' }, never())
    expect(await keysIn(store)).toEqual([])
  })

  it.each(['upload', 'remove'] as const)('that takes no %s is told with what to do', async (method) => {
    const denied = () => {
      throw new PgpackError('STORE_DENIED', 'you may not')
    }
    const closed: ObjectStore = Object.assign(new FilesystemStore(folder.path), { [method]: denied })
    await expect(checkRejectsPlace({ store: closed, path: 'rejects/uid' }, never())).rejects.toMatchObject({
      code: 'STORE_DENIED',
      retryable: false,
      message: expect.stringMatching(/rejects\/uid, which cannot be written: you may not; .*leave logErrors out/),
    })
  })
})

describe('the result of a run', () => {
  it('says where refused rows lie when there are some', () => {
    const said = (rejectedRows?: string) =>
      rejectsOutcome(
        { store, path: 'rejects' },
        { ...noTotals, ...(rejectedRows === undefined ? {} : { rejectedRows }) },
        testContext(),
      )
    expect([said('5'), said('0'), said()]).toEqual([{ rejects: 'rejects' }, {}, {}])
  })
})

const OPEN = { closed: false }

describe('files of refused rows', () => {
  it('hold what the COPY gave, whose memory is given back', async () => {
    const copy = copyOf()
    const rejects = new RejectsFile({ store, path: '' }, 'rows.csv.rejects.csv')
    expect(await rejects.fill(copy, never())).toBe(2n)
    expect(String(await collect(store.read('rows.csv.rejects.csv', never())))).toBe('a\nb\n')
    expect(copy.released()).toBe(2)
    expect(rejects.location).toBe(`${store.location}/rows.csv.rejects.csv`)
  })

  it('are not there when the COPY failed, and do not hide why', async () => {
    const fault = new PgpackError('POSTGRES_CONNECTION_LOST', 'gone')
    const rejects = new RejectsFile({ store, path: 'rejects' }, 'a.csv')
    await expect(rejects.fill(copyOf(fault), never())).rejects.toBe(fault)
    expect(await keysIn(store)).toEqual([])
    expect(rejects.loose).toBe(false)
  })

  it('stay when their loads are committed', async () => {
    const loads = [await written('a.csv'), await written('b.csv'), {}]
    await commitRejects(OPEN, loads, async () => undefined)
    await discardRejects(loads, testContext())
    expect(await keysIn(store)).toEqual(['rejects/a.csv', 'rejects/b.csv'])
  })

  it('go when their loads are rolled back, and those of others stay', async () => {
    const [kept, lost] = [await written('a.csv'), await written('b.csv')]
    await commitRejects(OPEN, [kept], async () => undefined)
    await discardRejects([kept, lost, {}], testContext())
    expect(await keysIn(store)).toEqual(['rejects/a.csv'])
  })

  it.each([
    ['POSTGRES_CONNECTION_LOST', { closed: true }, ['rejects/a.csv']],
    ['CANCELLED', { closed: true }, ['rejects/a.csv']],
    ['CANCELLED', OPEN, []],
    ['POSTGRES_DATA', OPEN, []],
  ] as const)('after a COMMIT that ended with %s, the session being %j, are %j', async (code, session, keys) => {
    const loads = [await written('a.csv')]
    const failing = async () => {
      throw new PgpackError(code, 'COMMIT failed')
    }
    await expect(commitRejects(session, loads, failing)).rejects.toMatchObject({ code })
    await discardRejects(loads, testContext())
    expect(await keysIn(store)).toEqual(keys)
  })

  it('that cannot be removed do not hide why the run has failed', async () => {
    const denied = () => Promise.reject(new PgpackError('STORE_DENIED', 'you may not'))
    const closed: ObjectStore = Object.assign(new FilesystemStore(folder.path), { remove: denied })
    const loads = [await written('a.csv', closed)]
    await discardRejects(loads, testContext())
    expect(await keysIn(store)).toEqual(['rejects/a.csv'])
  })
})

describe('the file for what is refused of a file without a manifest', () => {
  const copyOptions = { logErrors: true, segmentRejectLimit: { count: 10 } }

  it('lies beside it, or where it is told', () => {
    expect(rejectsOf({ store, key: 'in/rows.csv', copyOptions })?.key).toBe('in/rows.csv.rejects.csv')
    expect(rejectsOf({ store, key: 'rows.csv', copyOptions })?.key).toBe('rows.csv.rejects.csv')
    const rejects = { store, path: 'kept' }
    expect(rejectsOf({ store, key: 'in/rows.csv', copyOptions, rejects })?.key).toBe('kept/rows.csv.rejects.csv')
  })

  it('is none where refused rows are only counted', () => {
    const counted = { segmentRejectLimit: { count: 10 } }
    expect(rejectsOf({ store, key: 'rows.csv', copyOptions: counted })).toBeUndefined()
  })
})
