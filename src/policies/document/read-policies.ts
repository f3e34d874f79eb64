import { Lexer, LineCounter, parseAllDocuments, type Document } from 'yaml';
import { Fault } from '../../kernel/fault.ts';
import { Locating, Misplaced, type Located } from './located.ts';
import { PolicyDocument } from './policy-document.ts';
import { problemsOf, type PlacedProblem } from './schema-places.ts';
import { plainWords } from '../../kernel/text/plain-text.ts';

/** About a thousand policies. */
export const POLICY_TEXT_MAX = 256 * 1024;
/** The parser's time grows with the tokens, so they are counted before it runs. */
const TOKENS_MAX = 60_000;
const POLICIES_MAX = 1000;
/** More problems at once help nobody. */
const PROBLEMS_MAX = 8;
const PROBLEM_CHARACTERS_MAX = 400;

/** A policy of a text. */
export interface ReadPolicy {
  readonly document: PolicyDocument;
  /** Where a field of it stands: `policies.yaml:12:5`. */
  readonly placeOf: (...path: readonly string[]) => string;
}

/**
 * Reads policies from YAML: each document is one, or has a list `policies`.
 *
 * @param source how people call the text: the name of its file
 * @throws Fault `policy.invalid`, which names file, line and column of each problem
 */
export function readPolicies(text: string, source: string): ReadPolicy[] {
  const name = plainWords(source, 200) || 'policies';
  if (text.length > POLICY_TEXT_MAX) {
    throw invalid([`${name}: larger than ${String(POLICY_TEXT_MAX / 1024)} KiB`]);
  }
  const lines = new LineCounter();
  const place = (at: number): string => {
    const { line, col } = lines.linePos(at);
    return `${name}:${String(line)}:${String(col)}`;
  };
  const told = (problems: readonly PlacedProblem[]): Fault =>
    invalid(problems.map(({ at, message }) => `${place(at)}: ${message}`));
  refuseManyTokens(text, name);
  const documents = parsed(text, lines);
  const broken = documents.flatMap(({ errors }) => errors).slice(0, PROBLEMS_MAX);
  if (broken.length > 0) {
    throw told(broken.map(({ pos, message }) => ({ at: pos[0], message: forPeople(message) })));
  }
  try {
    const locating = new Locating();
    const found = documents.flatMap((document) => policiesIn(locating.locate(document)));
    return checked(found, { told, place });
  } catch (error) {
    throw error instanceof Misplaced ? told([error]) : error;
  }
}

interface Telling {
  readonly told: (problems: readonly PlacedProblem[]) => Fault;
  readonly place: (at: number) => string;
}

function checked(found: readonly Located[], { told, place }: Telling): ReadPolicy[] {
  if (found.length > POLICIES_MAX) {
    throw told([{ at: found[POLICIES_MAX]?.at ?? 0, message: 'more than 1000 policies' }]);
  }
  const problems: PlacedProblem[] = [];
  const policies: ReadPolicy[] = [];
  const names = new Map<string, number>();
  for (const located of found) {
    const { data, error } = PolicyDocument.safeParse(located.value);
    if (error !== undefined) {
      problems.push(...problemsOf(error, located));
      continue;
    }
    const at = placeIn(located, ['name']);
    const before = names.get(data.name);
    if (before !== undefined) {
      const message = `a policy called ${data.name} stands at ${place(before)} already`;
      problems.push({ at, message });
    }
    names.set(data.name, at);
    policies.push({
      document: data,
      placeOf: (...path) => place(placeIn(located, path)),
    });
  }
  if (problems.length > 0) {
    throw told(problems);
  }
  return policies;
}

/** Returns where the innermost thing on the path stands. */
function placeIn(located: Located, path: readonly string[]): number {
  let innermost = located;
  for (const part of path) {
    innermost = innermost.inside.get(part) ?? innermost;
  }
  return innermost.at;
}

/** Returns what is in a list `policies`, or the document itself if it is a policy. */
function policiesIn(located: Located): readonly Located[] {
  if (located.value === null) {
    return [];
  }
  const list = located.inside.get('policies');
  if (list === undefined) {
    return [located];
  }
  const [other] = [...located.keys].filter(([key]) => key !== 'policies');
  if (other !== undefined) {
    throw new Misplaced(other[1], `${other[0]} stands beside policies; put it into a policy`);
  }
  if (!Array.isArray(list.value)) {
    throw new Misplaced(list.at, 'policies must be a list');
  }
  return [...list.inside.values()];
}

function refuseManyTokens(text: string, source: string): void {
  // The lexer makes one token at a time, so nothing that follows is looked at.
  const tokens = new Lexer().lex(text);
  for (let count = 0; tokens.next().done !== true; count += 1) {
    if (count === TOKENS_MAX) {
      throw invalid([`${source}: too many words; split the file`]);
    }
  }
}

function parsed(text: string, lineCounter: LineCounter): Document.Parsed[] {
  const all = parseAllDocuments(text, {
    lineCounter,
    // Comparing all keys with all others takes minutes for a large map; Locating compares them.
    uniqueKeys: false,
    prettyErrors: false,
    logLevel: 'silent',
    version: '1.2',
    schema: 'core',
    merge: false,
  });
  return Array.isArray(all) ? all : [];
}

/** Adds the next step to messages of the parser that need one. */
function forPeople(message: string): string {
  const [sentence = ''] = message.split('\n');
  return /alias/i.test(sentence)
    ? `${sentence}; a text that begins with * needs quotes, such as "*/15 * * * *"`
    : sentence;
}

function invalid(problems: readonly string[]): Fault {
  const shown = problems
    .slice(0, PROBLEMS_MAX)
    .map((problem) => plainWords(problem, PROBLEM_CHARACTERS_MAX));
  const more = problems.length - shown.length;
  const rest = more > 0 ? `\n… and ${String(more)} more` : '';
  return new Fault('policy.invalid', `${shown.join('\n')}${rest}`, { problems: problems.length });
}
