import { faultCode } from '../../../test/support/service/fault-code.ts';
import { parseShare } from './amounts.ts';

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
