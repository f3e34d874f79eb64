import { faultCode } from '../../../test/support/service/fault-code.ts';
import { parseDays, parseShare } from './amounts.ts';

describe('parseShare', () => {
  it.each([
    ['1/30', 1 / 30],
    ['10%', 0.1],
    ['0.25', 0.25],
    ['1', 1],
    ['100%', 1],
  ])('takes %s', (text, share) => {
    expect(parseShare('--share', text)).toBeCloseTo(share, 12);
  });

  it.each(['', '0', '2', '1/0', '-1', '1/', '101%', '1/2/3', 'x', '0/5'])('refuses %j', (text) => {
    expect(faultCode(() => parseShare('--share', text))).toBe('request.invalid');
  });
});

describe('parseDays', () => {
  it('returns milliseconds', () => {
    expect(parseDays('--expires', '90d')).toBe(90 * 24 * 60 * 60 * 1000);
  });

  it.each(['0d', '90', 'd', '1.5d', '-1d', ''])('refuses %j', (text) => {
    expect(() => parseDays('--expires', text)).toThrow('--expires takes a number of days');
  });
});
