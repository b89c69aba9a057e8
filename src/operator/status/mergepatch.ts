type JsonObject = { readonly [key: string]: unknown }

/**
 * The RFC 7386 patch that turns `before` into `after`, or undefined when they are the same. Objects are merged, null
 * removes, anything else (lists too) is replaced whole. A key whose value is undefined counts as absent.
 */
export function mergePatch(before: JsonObject, after: JsonObject): JsonObject | undefined {
  const patch: Record<string, unknown> = {}
  for (const key of new Set([...Object.keys(before), ...Object.keys(after)])) {
    const [from, to] = [before[key], after[key]]
    if (to === undefined) {
      if (from !== undefined) patch[key] = null
    } else if (isObject(from) && isObject(to)) {
      const inner = mergePatch(from, to)
      if (inner !== undefined) patch[key] = inner
    } else if (!isSame(from, to)) patch[key] = to
  }
  return Object.keys(patch).length === 0 ? undefined : patch
}

function isObject(value: unknown): value is JsonObject {
  return typeof value === 'object' && value !== null && !Array.isArray(value)
}

function isSame(left: unknown, right: unknown): boolean {
  if (Array.isArray(left) && Array.isArray(right)) {
    return left.length === right.length && left.every((item, index) => isSame(item, right[index]))
  }
  if (isObject(left) && isObject(right)) return mergePatch(left, right) === undefined
  return left === right
}
