import { Fault } from '../../kernel/fault.ts';

const BYTES = /^(\d{1,15}(?:[.]\d{1,6})?)\s*([KMGTP]?)(?:i?B)?$/i;
const DAY_MS = 24 * 60 * 60 * 1000;
const POWERS = ['', 'K', 'M', 'G', 'T', 'P'];

/** Parses `500`, `64M`, `1.5 GiB`: units are powers of 1024. @throws Fault `request.invalid` */
export function parseBytes(option: string, text: string): number {
  const [, number = '', unit = ''] = BYTES.exec(text.trim()) ?? [];
  const bytes = Math.floor(Number(number) * 1024 ** POWERS.indexOf(unit.toUpperCase()));
  if (number === '' || !Number.isSafeInteger(bytes) || bytes <= 0) {
    throw new Fault('request.invalid', `${option} takes an amount such as 500M or 2G.`);
  }
  return bytes;
}

/** @throws Fault `request.invalid` */
export function parseCount(option: string, text: string): number {
  const count = Number(text);
  if (!/^\d+$/.test(text) || !Number.isSafeInteger(count) || count === 0) {
    throw new Fault('request.invalid', `${option} takes a whole number above zero.`);
  }
  return count;
}

/** Parses `90d` as a duration. @returns milliseconds @throws Fault `request.invalid` */
export function parseDays(option: string, text: string): number {
  const [, days = '0'] = /^(\d{1,5})d$/.exec(text.trim()) ?? [];
  if (Number(days) === 0) {
    throw new Fault('request.invalid', `${option} takes a number of days such as 90d.`);
  }
  return Number(days) * DAY_MS;
}

/** @throws Fault `request.invalid` */
export function parseMoney(option: string, text: string): number {
  if (!/^\d{1,9}(?:[.]\d{1,6})?$/.test(text) || Number(text) === 0) {
    throw new Fault('request.invalid', `${option} takes an amount of money such as 2.50.`);
  }
  return Number(text);
}

/** Parses `1/30`, `10%`, `0.1` as a share of the whole. @throws Fault `request.invalid` */
export function parseShare(option: string, text: string): number {
  const [, amount = '', rest = ''] =
    /^(\d{1,6}(?:[.]\d{1,6})?)(|%|\/\d{1,6})$/.exec(text.trim()) ?? [];
  const divisor = rest === '%' ? 100 : rest === '' ? 1 : Number(rest.slice(1));
  const share = Number(amount) / divisor;
  if (amount === '' || !(share > 0 && share <= 1)) {
    throw new Fault('request.invalid', `${option} takes a part of the whole such as 1/30 or 10%.`);
  }
  return share;
}
