import { readFile } from 'node:fs/promises'
import { join } from 'node:path'
import { describe, expect, it } from '@jest/globals'
import { operatorMetrics } from '../../../scripts/generate/metrics.ts'
import { chartRules } from '../../../scripts/generate/rbac.ts'

/** Prometheus' base units and the suffixes of its naming conventions; what else a gauge may end in is a count of things. */
const UNITS = /_(seconds|bytes|total)$/
const COUNTS = new Set([
  'controller_runtime_active_workers',
  'controller_runtime_max_concurrent_reconciles',
  'leader_election_master_status',
  'pgpack_run_resources',
  'workqueue_depth',
])
/** Whose values have no bound in a cluster that lives long. */
const UNBOUNDED = ['run', 'pod', 'job', 'uid', 'attempt', 'message', 'path']

describe("the operator's metrics", () => {
  it('are named as Prometheus has it', () => {
    for (const { name, type } of operatorMetrics()) {
      expect(name).toMatch(/^[a-z][a-z0-9_]*$/)
      if (!COUNTS.has(name)) expect(name).toMatch(UNITS)
      expect(name.endsWith('_total')).toBe(String(type) === 'counter')
    }
  })

  it('each have a help text, and no label whose values have no bound', () => {
    for (const { name, help, labelNames = [] } of operatorMetrics()) {
      expect(help).not.toBe('')
      // `name` of client-go's metrics is that of a queue or a Lease.
      if (name.startsWith('pgpack_')) expect(labelNames).not.toContain('name')
      expect(labelNames.filter((label) => UNBOUNDED.includes(label))).toEqual([])
    }
  })
})

describe("the chart's rules", () => {
  it('each say why they are there', () => {
    for (const template of ['rules', 'leaderElectionRules'] as const) {
      for (const { why } of chartRules(template)) expect(why).toMatch(/\.$/)
    }
  })

  it('name nothing by a wildcard, and no Secret', () => {
    const rules = [...chartRules('rules'), ...chartRules('leaderElectionRules')]
    const names = rules.flatMap(({ apiGroups, resources, verbs }) => [...apiGroups, ...resources, ...verbs])
    expect(names.filter((name) => name.includes('*') || name.startsWith('secrets'))).toEqual([])
  })

  it('are all that the templates grant to the operator', async () => {
    const rbac = await readFile(
      join(import.meta.dirname, '../../../charts/pgpack-operator/templates/rbac.yaml'),
      'utf8',
    )
    const granted = [...rbac.matchAll(/^rules:\n(.*)$/gm)].map(([, line = '']) => line.trim())
    expect(granted.length).toBeGreaterThan(0)
    for (const line of granted) expect(line).toMatch(/^\{\{- include "pgpack-operator\.(leaderElectionR|r)ules"/)
  })
})
