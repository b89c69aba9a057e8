import { describe, expect, it } from '@jest/globals'
import { run } from '../../cluster/processes.ts'

const footprint = new URL('../../../src/cli/footprint.ts', import.meta.url)

/** What a script prints in a process of its own, which has made itself smaller by `calls` before. */
async function inProcess(calls: string, script: string, flags: readonly string[] = []): Promise<unknown> {
  const code = `import { processFootprint as footprint } from ${JSON.stringify(footprint)}; ${calls}; ${script}`
  return JSON.parse(await run(process.execPath, [...flags, '--input-type=module', '--eval', code]))
}

describe('the footprint of a process', () => {
  const youngGeneration = `
    import { getHeapSpaceStatistics } from 'node:v8'
    let kept = []
    for (let i = 0; i < 3e6; i++) { kept.push({ i }); if (kept.length > 30_000) kept = [] }
    console.log(getHeapSpaceStatistics().find((space) => space.space_name === 'new_space').space_size)`

  it('has a young generation that grows, until it is told otherwise', async () => {
    expect(await inProcess('', youngGeneration)).toBeGreaterThan(8e6)
    expect(await inProcess('footprint.keepHeapSmall()', youngGeneration)).toBeLessThan(3e6)
  })

  const optimized = `
    const twice = (x) => x * 2
    let sum = 0
    for (let i = 0; i < 5e6; i++) sum += twice(i)
    // Bit 4 is kOptimized of V8's OptimizationStatus (src/runtime/runtime.h).
    console.log((%GetOptimizationStatus(twice) & (1 << 4)) !== 0)`

  it('has optimized code, until it is told otherwise', async () => {
    const flags = ['--allow-natives-syntax']
    expect(await inProcess('', optimized, flags)).toBe(true)
    expect(await inProcess('footprint.leaveUnoptimized()', optimized, flags)).toBe(false)
  })
})
