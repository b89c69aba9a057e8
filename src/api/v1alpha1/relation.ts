import * as Type from 'typebox'
import { object, text } from '../schema.ts'

/** PostgreSQL cuts identifiers at NAMEDATALEN - 1 bytes; case and every character count. */
export const identifier = (description: string) => text(description, 63)

/** Members that name a relation as the catalog spells it. */
export const relationMembers = {
  schema: Type.Optional(text('Schema, spelled as in the catalog.', 63, { default: 'public' })),
  name: identifier('Name, spelled as in the catalog.'),
}

export const relation = (description: string) => object(relationMembers, { description })
