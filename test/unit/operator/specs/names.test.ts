import { describe, expect, it } from '@jest/globals'
import fc from 'fast-check'
import {
  childName,
  incarnationOf,
  jobName,
  labelValue,
  MAX_JOB_NAME,
  removalName,
} from '../../../../src/operator/specs/names.ts'
import { dumpRun, restoreRun, transferRun, UID } from '../controllers/fixtures.ts'

const DNS_LABEL = /^[a-z0-9]([-a-z0-9]*[a-z0-9])?$/
const LABEL_VALUE = /^[a-zA-Z0-9]([-._a-zA-Z0-9]*[a-zA-Z0-9])?$/

/** DNS-1123 subdomains, as the API server takes them for names. */
const anyName = fc
  .array(fc.stringMatching(/^[a-z0-9]([-a-z0-9]{0,61}[a-z0-9])?$/), { minLength: 1, maxLength: 6 })
  .map((labels) =>
    labels
      .join('.')
      .slice(0, 253)
      .replace(/[-.]+$/, ''),
  )

const named = (name: string, uid = UID) => {
  const run = dumpRun()
  return { ...run, metadata: { ...run.metadata, name, uid } }
}

describe('names of children', () => {
  it('are readable for a name of usual length', () => {
    expect(childName(dumpRun())).toBe('orders-dump-1a2b3c4d')
    expect(childName(restoreRun())).toBe('orders-restore-1a2b3c4d')
    expect(childName(transferRun())).toBe('orders-transfer-1a2b3c4d')
    expect(removalName(dumpRun())).toBe('orders-remove-1a2b3c4d')
    expect(jobName(dumpRun(), 1)).toBe('orders-dump-1a2b3c4d')
    expect(jobName(dumpRun(), 2)).toBe('orders-dump-1a2b3c4d-2')
  })

  it('are DNS labels that leave room for the end of a name of a pod', () => {
    fc.assert(
      fc.property(anyName, fc.integer({ min: 1, max: 100 }), (name, incarnation) => {
        const child = jobName(named(name), incarnation)
        expect(child).toMatch(DNS_LABEL)
        expect(child.length).toBeLessThanOrEqual(MAX_JOB_NAME)
      }),
    )
  })

  it('tell long names apart that begin alike', () => {
    const start = 'a'.repeat(200)
    expect(childName(named(`${start}x`))).not.toBe(childName(named(`${start}y`)))
  })

  it('tell runs of one name apart', () => {
    expect(childName(named('orders'))).not.toBe(childName(named('orders', 'ffffffff-0000-4000-8000-000000000000')))
  })

  it('give the incarnation back', () => {
    fc.assert(
      fc.property(anyName, fc.integer({ min: 1, max: 999 }), (name, incarnation) => {
        expect(incarnationOf(named(name), jobName(named(name), incarnation))).toBe(incarnation)
      }),
    )
  })

  it.each([
    '',
    'another',
    'orders-dump-1a2b3c4d-',
    'orders-dump-1a2b3c4d-0',
    'orders-dump-1a2b3c4d-1.5',
    'orders-dump-1a2b3c4d-x',
  ])('count a foreign one (%j) as the first', (name) => expect(incarnationOf(dumpRun(), name)).toBe(1))
})

describe('a label value', () => {
  it('is the name where that fits', () => expect(labelValue('orders.daily')).toBe('orders.daily'))

  it('is valid for any name, and differs for names that begin alike', () => {
    fc.assert(
      fc.property(anyName, (name) => {
        expect(labelValue(name)).toMatch(LABEL_VALUE)
        expect(labelValue(name).length).toBeLessThanOrEqual(63)
      }),
    )
    const start = `${'a'.repeat(53)}.`
    expect(labelValue(`${start}${'b'.repeat(40)}`)).not.toBe(labelValue(`${start}${'c'.repeat(40)}`))
  })
})
