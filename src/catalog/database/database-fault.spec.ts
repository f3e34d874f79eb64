import { QueryFailedError } from 'typeorm';
import { databaseFault } from './database-fault.ts';

const PLACE = { name: 'catalog at db.example' };
const coded = (code: string): Error => Object.assign(new Error('said with a password'), { code });
const failed = (code: string): Error => new QueryFailedError('SELECT 1', [], coded(code));

it.each([
  coded('ECONNREFUSED'),
  coded('ENOTFOUND'),
  failed('57P01'),
  failed('08006'),
  failed('53300'),
  new QueryFailedError('SELECT 1', [], new Error('Connection terminated unexpectedly')),
  new Error('Connection terminated due to connection timeout'),
  new Error('timeout exceeded when trying to connect'),
  new Error('Query read timeout'),
])('says that the database is away: %s', (error) => {
  expect(databaseFault(error, PLACE)).toMatchObject({
    code: 'database.unavailable',
    message: expect.not.stringContaining('password') as string,
    context: { database: PLACE.name },
  });
});

it.each(['28P01', '28000', '3D000', '42501'])('says that it lets nobody in: %s', (code) => {
  expect(databaseFault(coded(code), PLACE)).toMatchObject({ code: 'database.refused' });
});

it.each([failed('23505'), failed('42P01'), failed('22P02'), new TypeError('x is not a function')])(
  'leaves other errors as they are: %s',
  (error) => {
    expect(databaseFault(error, PLACE)).toBe(error);
  },
);
