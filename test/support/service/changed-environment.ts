/** Variables of this process that a test changes, and sets back when it is disposed of. */
export class ChangedEnvironment implements Disposable {
  private readonly before = new Map<string, string | undefined>();

  /** @param value undefined removes the variable */
  set(name: string, value: string | undefined): void {
    if (!this.before.has(name)) {
      this.before.set(name, process.env[name]);
    }
    assign(name, value);
  }

  [Symbol.dispose](): void {
    for (const [name, value] of this.before) {
      assign(name, value);
    }
  }
}

function assign(name: string, value: string | undefined): void {
  if (value === undefined) {
    Reflect.deleteProperty(process.env, name);
  } else {
    process.env[name] = value;
  }
}
