import { decodeName } from './requests.ts';

/**
 * What an answer must have to count as one. All S3 servers that we know send what is checked here;
 * what some leave out is not checked. Each function returns what is wrong, or an empty text.
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

/** One page of a list of objects or versions. */
interface Page extends Answer {
  readonly Name?: string | undefined;
  readonly Prefix?: string | undefined;
  readonly KeyCount?: number | undefined;
  readonly IsTruncated?: boolean | undefined;
  readonly Contents?: readonly unknown[] | undefined;
  readonly CommonPrefixes?: readonly unknown[] | undefined;
}

/** A server that sends more empty pages in a row leads nowhere. */
const EMPTY_PAGES_MAX = 1000;

export function wrongPut({ $metadata: { httpStatusCode: status }, ETag: tag }: PutAnswer): string {
  return status === 200 && tag !== undefined ? '' : 'a put is answered without an ETag';
}

/**
 * S3 answers 204. A 200 counts if it has the request number that S3 servers send and other pages
 * lack.
 */
export function wrongDone(what: string, { $metadata }: Answer): string {
  const { httpStatusCode: status, requestId } = $metadata;
  const isDone = status === 204 || (status === 200 && requestId !== undefined);
  return isDone ? '' : `${what} is answered with ${String(status)} and no number of the request`;
}

/** Checks the form of one page. The caller checks that pages follow each other. */
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

/** Checks that the pages of a list lead on: each names a new place to go on from. */
export class PageChain {
  #last: string | undefined;
  #emptyPages = 0;

  /** @param next where the server says that the list goes on; undefined at its end */
  wrong(entries: number, isTruncated: boolean | undefined, next: string | undefined): string {
    if (next === undefined) {
      return isTruncated === true ? 'a list is cut short and does not say how it goes on' : '';
    }
    // A circle of several pages shows in the order of names, or in too many empty pages.
    if (next === this.#last) {
      return 'a list leads back to where it has been';
    }
    this.#last = next;
    this.#emptyPages = entries === 0 ? this.#emptyPages + 1 : 0;
    return this.#emptyPages > EMPTY_PAGES_MAX ? 'a list goes on and on without an object' : '';
  }
}
