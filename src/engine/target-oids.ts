import { PgpackError } from '../errors.ts'
import { PGCOPY_FLAG_OIDS, PGCOPY_HEADER_BYTES, PGCOPY_SIGNATURE } from '../pgpack/pgcopy.ts'
import { FIRST_USER_OID, type UserType } from '../postgres/catalog-types.ts'
import type { Part } from './load.ts'

/** Where a type's binary values hold OIDs of types: array_send writes its element's, record_send its fields'. */
export type OidTree =
  | { readonly kind: 'array'; readonly element: number; readonly of: OidTree | undefined }
  | {
      readonly kind: 'composite'
      readonly fields: readonly { readonly oid: number; readonly of: OidTree | undefined }[]
    }
  | { readonly kind: 'range'; readonly of: OidTree }

/**
 * The trees of types, each undefined where the values hold no OID that differs between databases.
 * @param types as the target has them: those that the OIDs name, and all that they stand on
 */
export function oidTrees(types: readonly UserType[], oids: readonly number[]): readonly (OidTree | undefined)[] {
  const byOid = new Map(types.map((type) => [type.oid, type]))
  const byArray = new Map(types.flatMap((type) => (type.arrayOid > 0 ? [[type.arrayOid, type] as const] : [])))
  const treeOf = (oid: number | undefined): OidTree | undefined => {
    if (oid === undefined) return undefined
    const element = byArray.get(oid)
    if (element !== undefined) return { kind: 'array', element: element.oid, of: treeOf(element.oid) }
    const type = byOid.get(oid)
    if (type?.kind === 'domain') return treeOf(type.base)
    if (type?.kind === 'composite') return compositeTree(type, treeOf)
    const bound = type?.kind === 'range' ? treeOf(type.subtype) : undefined
    return bound === undefined ? undefined : { kind: 'range', of: bound }
  }
  return oids.map(treeOf)
}

function compositeTree({ fields = [] }: UserType, treeOf: (oid: number) => OidTree | undefined): OidTree | undefined {
  const trees = fields.map(({ oid }) => ({ oid, of: treeOf(oid) }))
  return trees.some(({ oid, of }) => oid >= FIRST_USER_OID || of !== undefined)
    ? { kind: 'composite', fields: trees }
    : undefined
}

/** A part whose values name the types of users by the OIDs that they have in the target. @param trees of each column */
export function withTargetOids(part: Part, trees: readonly (OidTree | undefined)[]): Part {
  return {
    ...part,
    async *read(lane) {
      const rewriter = new TypeOidRewriter(trees)
      for await (const piece of part.read(lane)) yield { ...piece, data: rewriter.update(piece.data) }
      rewriter.end()
    },
  }
}

const FLAGS_OFFSET = PGCOPY_SIGNATURE.length
const EXTENSION_OFFSET = FLAGS_OFFSET + 4
/** MAXDIM of utils/array.h. */
const MAX_DIMENSIONS = 6
/** RANGE_EMPTY, RANGE_LB_INF with RANGE_LB_NULL, RANGE_UB_INF with RANGE_UB_NULL (utils/rangetypes.h). */
const EMPTY_RANGE = 0x01
const NO_LOWER = 0x08 | 0x20
const NO_UPPER = 0x10 | 0x40
const NOTHING = Buffer.alloc(0)

/** Waits for the next piece. */
type Walk = Generator<undefined, void, undefined>

/**
 * Puts the target's OIDs of users' types into the values of a PGCOPY stream, in pieces of any size, which it overwrites.
 * Of OIDs it does what array_recv and record_recv themselves do from PostgreSQL 14 on, who take a user's type for the one
 * that is declared, and refuse PostgreSQL's own where they differ: those are left to them.
 */
export class TypeOidRewriter {
  readonly #trees: readonly (OidTree | undefined)[]
  readonly #walk: Walk
  /** What is being looked at, and how far that has come: behind the end where a value goes on in the next piece. */
  #bytes: Buffer = NOTHING
  #at = 0
  /** Bytes of the stream before `#bytes`. */
  #base = 0
  #ended = false

  constructor(trees: readonly (OidTree | undefined)[]) {
    this.#trees = trees
    this.#walk = this.#stream()
  }

  /** The stream up to what the end of the piece cuts. @throws PgpackError PGPACK_ROW_MALFORMED */
  update(piece: Buffer): Buffer {
    const bytes = this.#bytes.length === 0 ? piece : Buffer.concat([this.#bytes, piece])
    this.#bytes = bytes
    this.#walk.next()
    const done = this.#ended ? bytes.length : Math.min(this.#at, bytes.length)
    this.#bytes = Buffer.from(bytes.subarray(done))
    this.#at -= done
    this.#base += done
    return bytes.subarray(0, done)
  }

  /** @throws PgpackError PGPACK_TRUNCATED when the trailer was not seen */
  end(): void {
    if (this.#ended) return
    throw new PgpackError(
      'PGPACK_TRUNCATED',
      `the rows end at byte ${this.#base} without the PGCOPY trailer: some are missing`,
    )
  }

  *#stream(): Walk {
    if (this.#lacks(PGCOPY_HEADER_BYTES)) yield* this.#wait(PGCOPY_HEADER_BYTES)
    const hasOids = (this.#bytes.readInt32BE(this.#at + FLAGS_OFFSET) & PGCOPY_FLAG_OIDS) !== 0
    this.#at += PGCOPY_HEADER_BYTES + this.#bytes.readUInt32BE(this.#at + EXTENSION_OFFSET)
    const trees = hasOids ? [undefined, ...this.#trees] : this.#trees
    for (;;) {
      if (this.#lacks(2)) yield* this.#wait(2)
      const count = this.#bytes.readInt16BE(this.#at)
      this.#at += 2
      if (count === -1) break
      this.#expect(count === this.#trees.length, `${this.#trees.length} fields`, `${count}`)
      for (const tree of trees) {
        if (tree !== undefined || this.#lacks(4)) yield* this.#field(tree)
        else this.#pass(this.#int32())
      }
    }
    this.#ended = true
  }

  *#field(tree: OidTree | undefined): Walk {
    if (this.#lacks(4)) yield* this.#wait(4)
    const length = this.#int32()
    if (tree === undefined || length <= 0) this.#pass(length)
    else yield* this.#value(tree, length)
  }

  /** Over a value, or a NULL, which is of length -1. */
  #pass(length: number): void {
    if (length > 0) this.#at += length
  }

  *#value(tree: OidTree, length: number): Walk {
    const end = this.#base + this.#at + length
    if (tree.kind === 'array') yield* this.#array(tree, end)
    else if (tree.kind === 'composite') yield* this.#composite(tree, end)
    else yield* this.#range(tree)
    const found = this.#base + this.#at
    this.#expect(found === end, `the end of a value at byte ${end}`, `byte ${found}`)
  }

  *#array({ element, of }: OidTree & { kind: 'array' }, end: number): Walk {
    if (this.#lacks(12)) yield* this.#wait(12)
    const dimensions = this.#int32()
    this.#at += 4
    this.#oid(element)
    this.#expect(dimensions >= 0 && dimensions <= MAX_DIMENSIONS, `0 to ${MAX_DIMENSIONS} dimensions`, `${dimensions}`)
    if (of === undefined) {
      this.#at = end - this.#base
      return
    }
    if (this.#lacks(8 * dimensions)) yield* this.#wait(8 * dimensions)
    let count = dimensions === 0 ? 0 : 1
    for (let dimension = 0; dimension < dimensions; dimension += 1) {
      count *= this.#int32()
      this.#at += 4
    }
    for (; count > 0 && this.#base + this.#at < end; count -= 1) yield* this.#field(of)
  }

  *#composite({ fields }: OidTree & { kind: 'composite' }, end: number): Walk {
    if (this.#lacks(4)) yield* this.#wait(4)
    // Of a type with other fields the server says so itself.
    if (this.#int32() !== fields.length) {
      this.#at = end - this.#base
      return
    }
    for (const { oid, of } of fields) {
      if (this.#lacks(8)) yield* this.#wait(8)
      this.#oid(oid)
      yield* this.#field(of)
    }
  }

  *#range({ of }: OidTree & { kind: 'range' }): Walk {
    if (this.#lacks(1)) yield* this.#wait(1)
    const flags = this.#bytes[this.#at] ?? 0
    this.#at += 1
    if ((flags & EMPTY_RANGE) !== 0) return
    if ((flags & NO_LOWER) === 0) yield* this.#field(of)
    if ((flags & NO_UPPER) === 0) yield* this.#field(of)
  }

  /** Whether the piece ends before so many bytes. Asked before each wait, since a generator costs more than most fields. */
  #lacks(count: number): boolean {
    return this.#bytes.length - this.#at < count
  }

  *#wait(count: number): Walk {
    while (this.#lacks(count)) yield
  }

  #int32(): number {
    const value = this.#bytes.readInt32BE(this.#at)
    this.#at += 4
    return value
  }

  #oid(target: number): void {
    const found = this.#bytes.readUInt32BE(this.#at)
    if (found >= FIRST_USER_OID && target >= FIRST_USER_OID) this.#bytes.writeUInt32BE(target, this.#at)
    this.#at += 4
  }

  #expect(holds: boolean, expected: string, found: string): void {
    if (holds) return
    const message = `a value is malformed at byte ${this.#base + this.#at} of the rows: found ${found}, expected ${expected}`
    throw new PgpackError('PGPACK_ROW_MALFORMED', message, { expected, found })
  }
}
