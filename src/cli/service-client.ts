import { join } from 'node:path';
import { type z } from 'zod';
import { ADDRESS_FILE, TOKEN_FILE } from '../api/contract/access.ts';
import { Job } from '../api/contract/jobs.ts';
import { Problem } from '../api/contract/problem.ts';
import { API_PREFIX, jobEventsPath, ROUTES } from '../api/contract/routes.ts';
import { Fault, isAbort, systemCode } from '../kernel/fault.ts';
import { readFile } from '../kernel/files.ts';
import { type ServiceSettings } from './cli-environment.ts';
import { remoteError } from './service-problem.ts';

type RouteName = keyof typeof ROUTES;
type Answer<Name extends RouteName> = (typeof ROUTES)[Name] extends {
  answer: infer Schema extends z.ZodType;
}
  ? z.output<Schema>
  : undefined;

interface Call {
  /** Values of the `:name` parts of the path. */
  readonly path?: Readonly<Record<string, string>>;
  readonly query?: Readonly<Record<string, string | undefined>>;
  readonly body?: unknown;
}

/** More than this is not an answer of the service. */
const ANSWER_BYTES_MAX = 64 * 1024 * 1024;
const DEFAULT_URL = 'http://127.0.0.1:8480';

/** Speaks the HTTP contract with the service. */
export class ServiceClient {
  private readonly url: string;
  private readonly token: string;

  constructor(url: string, token: string) {
    this.url = url.replace(/\/+$/, '');
    this.token = token;
  }

  /** Finds the service by the settings. Does not talk to it yet. */
  static async locate(settings: ServiceSettings, signal: AbortSignal): Promise<ServiceClient> {
    const read = async (name: string): Promise<string | undefined> =>
      await readFile(join(settings.homeFolder, name), { encoding: 'utf8', signal }).then(
        (text) => text.trim(),
        (error: unknown) => {
          if (systemCode(error) === 'ENOENT') {
            return undefined;
          }
          if (systemCode(error) === 'EACCES') {
            throw new Fault(
              'request.denied',
              `${join(settings.homeFolder, name)} belongs to another user. Run the command as the user that runs the service.`,
            );
          }
          throw error;
        },
      );
    const token = await read(TOKEN_FILE);
    if (token === undefined) {
      throw new Fault(
        'service.unreachable',
        `There is no service in ${settings.homeFolder} (no ${TOKEN_FILE}). Start it with: hyperkeep serve. If its home is elsewhere, set HYPERKEEP_HOME.`,
        { home: settings.homeFolder },
      );
    }
    return new ServiceClient(
      settings.serviceUrl ?? (await read(ADDRESS_FILE)) ?? DEFAULT_URL,
      token,
    );
  }

  /** @throws what the service answered, as the Fault it had there. */
  async call<Name extends RouteName>(
    name: Name,
    { path = {}, query = {}, body }: Call,
    signal: AbortSignal,
  ): Promise<Answer<Name>> {
    const route = ROUTES[name];
    const filled = route.path.replace(/:([a-z]+)/g, (_, part: string) =>
      encodeURIComponent(path[part] ?? ''),
    );
    const search = new URLSearchParams(
      Object.entries(query).filter((entry): entry is [string, string] => entry[1] !== undefined),
    ).toString();
    const response = await this.send(
      `${API_PREFIX}${filled}${search === '' ? '' : `?${search}`}`,
      {
        method: route.method,
        ...(body === undefined
          ? {}
          : { body: JSON.stringify(body), headers: { 'content-type': 'application/json' } }),
      },
      signal,
    );
    const text = await this.bodyOf(response);
    if (!response.ok) {
      throw this.problem(response, text);
    }
    if (!('answer' in route)) {
      return undefined as Answer<Name>;
    }
    return this.parsed<unknown>(route.answer, text, response) as Answer<Name>;
  }

  /** A job each time it changes, until the service ends the stream. */
  async *jobEvents(jobId: string, signal: AbortSignal): AsyncIterable<Job> {
    const response = await this.send(
      jobEventsPath(jobId),
      { headers: { accept: 'text/event-stream' } },
      signal,
    );
    if (!response.ok || response.body === null) {
      throw this.problem(response, await this.bodyOf(response));
    }
    let pending = '';
    const decoder = new TextDecoder();
    for await (const piece of response.body as AsyncIterable<Uint8Array>) {
      pending += decoder.decode(piece, { stream: true });
      const lines = pending.split('\n');
      pending = lines.pop() ?? '';
      if (pending.length > ANSWER_BYTES_MAX) {
        throw this.unexpected(response);
      }
      for (const line of lines) {
        if (line.startsWith('data:')) {
          yield this.parsed(Job, line.slice('data:'.length), response);
        }
      }
    }
  }

  private async send(
    path: string,
    init: { readonly method?: string; readonly body?: string; readonly headers?: object },
    signal: AbortSignal,
  ): Promise<Response> {
    try {
      return await fetch(`${this.url}${path}`, {
        ...init,
        headers: { ...init.headers, authorization: `Bearer ${this.token}` },
        redirect: 'error',
        signal,
      });
    } catch (error) {
      if (isAbort(error)) {
        throw error;
      }
      throw new Fault(
        'service.unreachable',
        `The service at ${this.url} does not answer. Start it with: hyperkeep serve`,
        { url: this.url },
        { cause: error },
      );
    }
  }

  private async bodyOf(response: Response): Promise<string> {
    let text = '';
    const decoder = new TextDecoder();
    for await (const piece of (response.body ?? []) as AsyncIterable<Uint8Array>) {
      text += decoder.decode(piece, { stream: true });
      if (text.length > ANSWER_BYTES_MAX) {
        throw this.unexpected(response);
      }
    }
    return text;
  }

  private parsed<Value>(schema: z.ZodType<Value>, text: string, response: Response): Value {
    const { data, error } = schema.safeParse(jsonOf(text));
    if (error !== undefined) {
      const [issue] = error.issues;
      throw this.unexpected(response, issue?.path.map(String).join('.'));
    }
    return data;
  }

  private problem(response: Response, text: string): Error {
    const parsed = Problem.safeParse(jsonOf(text));
    if (!parsed.success) {
      return this.unexpected(response);
    }
    const { title, detail, context } = parsed.data;
    return remoteError({ code: title, message: detail, context });
  }

  private unexpected(response: Response, field = ''): Fault {
    const where = field === '' ? '' : `, wrong at ${field}`;
    return new Fault(
      'service.unexpected-answer',
      `${this.url} answered something that is not Hyperkeep's (status ${String(response.status)}${where}). Check HYPERKEEP_URL, and that command line and service are of one version.`,
      { url: this.url, status: response.status },
    );
  }
}

function jsonOf(text: string): unknown {
  try {
    return JSON.parse(text);
  } catch {
    // Whoever asked checks the shape, and `undefined` has none.
    return undefined;
  }
}
