import { decodeName } from './s3-requests.ts';

/**
 * What an answer must have to count as one. Everything here comes from all S3 servers that we know;
 * what some of them leave out is not asked for. Each function says what is wrong, or nothing.
 */

interface Answer {
  readonly $metadata: {
    readonly httpStatusCode?: number | undefined;
    readonly requestId?: string | undefined;
  };
}

interface PutAnswer extends Answer {
  readonly ETag?: string | undefined;
}

/** Of a LIST of objects or of versions, in any of its pages. */
interface Page extends Answer {
  readonly Name?: string | undefined;
  readonly Prefix?: string | undefined;
  readonly KeyCount?: number | undefined;
  readonly IsTruncated?: boolean | undefined;
  readonly Contents?: readonly unknown[] | undefined;
  readonly CommonPrefixes?: readonly unknown[] | undefined;
}

/**
 * Pages without a single object, one after another, that a server may send: then it leads nowhere.
 */
const EMPTY_PAGES_MAX = 1000;

export function wrongPut({ $metadata: { httpStatusCode: status }, ETag: tag }: PutAnswer): string {
  return status === 200 && tag !== undefined ? '' : 'a put is answered without an ETag';
}

/**
 * S3 answers 204; a 200 counts with the number of the request that S3 servers send, and pages of
 * others do not.
 */
export function wrongDone(what: string, { $metadata }: Answer): string {
  const { httpStatusCode: status, requestId } = $metadata;
  const isDone = status === 204 || (status === 200 && requestId !== undefined);
  return isDone ? '' : `${what} is answered with ${String(status)} and no number of the request`;
}

/** The form of one page; that pages hang together is for who asks for them. */
export function wrongPage(page: Page, prefix: string): string {
  const { Prefix, KeyCount, IsTruncated } = page;
  if (!namesBucket(page)) {
    return 'a list does not say of which bucket it is';
  }
  if (KeyCount === undefined && IsTruncated === undefined) {
    return 'a list does not say whether it is whole';
  }
  if (Prefix !== undefined && Prefix !== prefix && decodeName(Prefix) !== prefix) {
    return 'a list is of another prefix';
  }
  const names = namesOf(page);
  return (KeyCount ?? names) === names ? '' : `a list of ${KeyCount} objects names ${names}`;
}

function namesOf({ Contents: objects = [], CommonPrefixes: prefixes = [] }: Page): number {
  return objects.length + prefixes.length;
}

function namesBucket({ $metadata: { httpStatusCode: status }, Name: name }: Page): boolean {
  return status === 200 && name !== undefined && name !== '';
}

/** Whether pages of a list lead on: each names a new place to go on from. */
export class PageChain {
  #last: string | undefined;
  #emptyPages = 0;

  /** @param next where the server says that it goes on; undefined at the end of the list */
  wrong(entries: number, isTruncated: boolean | undefined, next: string | undefined): string {
    if (next === undefined) {
      return isTruncated === true ? 'a list is cut short and does not say how it goes on' : '';
    }
    // A longer circle than of one page shows in the order of the names, or in pages without any.
    if (next === this.#last) {
      return 'a list leads back to where it has been';
    }
    this.#last = next;
    this.#emptyPages = entries === 0 ? this.#emptyPages + 1 : 0;
    return this.#emptyPages > EMPTY_PAGES_MAX ? 'a list goes on and on without an object' : '';
  }
}
