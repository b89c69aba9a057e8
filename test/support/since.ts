import { describe, it } from '@jest/globals'
import { testedMajor } from './postgres-versions.ts'

type Named = (name: string, body: () => void | Promise<void>, timeout?: number) => void
const nothing: Named = () => undefined

/** `it` where the PostgreSQL under test is of this major version or later. Elsewhere there is no such test, not a skipped one. */
export function itSince(major: number): Named {
  return testedMajor >= major ? it : nothing
}

/** As `itSince`, for a group of tests. */
export function describeSince(major: number): (name: string, body: () => void) => void {
  return testedMajor >= major ? describe : nothing
}
