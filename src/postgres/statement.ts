import type pg from 'pg'
import { PgpackError } from '../errors.ts'
import type { PostgresConnection } from './connection.ts'

/** A field of RowDescription. */
export type Field = pg.FieldDef

/**
 * RowDescription of a statement, by Parse and Describe: the server plans it and runs nothing.
 * @throws PgpackError CONFIG_INVALID for a statement that returns no rows; POSTGRES_STATEMENT and its like for its faults
 */
export async function describeStatement(connection: PostgresConnection, sql: string): Promise<readonly Field[]> {
  const description = new StatementDescription(sql)
  const fields = await connection.run(sql, {}, () => connection.submit(description, {}, description.completed))
  if (fields.length > 0) return fields
  throw new PgpackError('CONFIG_INVALID', 'the query returns no columns: expected a SELECT, VALUES or TABLE')
}

class StatementDescription implements pg.Submittable {
  readonly #sql: string
  readonly #completed = Promise.withResolvers<readonly Field[]>()
  #fields: readonly Field[] = []

  constructor(sql: string) {
    this.#sql = sql
  }

  get completed(): Promise<readonly Field[]> {
    return this.#completed.promise
  }

  submit(connection: pg.Connection): void {
    connection.parse({ name: '', text: this.#sql, types: [] }, true)
    connection.describe({ type: 'S', name: '' }, true)
    connection.sync()
  }

  handleRowDescription({ fields }: { readonly fields: readonly Field[] }): void {
    this.#fields = fields
  }

  handleError(error: unknown): void {
    this.#completed.reject(error)
  }

  handleReadyForQuery(): void {
    this.#completed.resolve(this.#fields)
  }
}
