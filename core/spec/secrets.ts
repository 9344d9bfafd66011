import * as z from 'zod/mini';

/** Also in instance/runner/common/secrets/references.py; test/contract/secrets.test.ts compares the two. */
export const MAX_SECRETS = 20;
const NAME = /^[A-Za-z_][A-Za-z0-9_]{0,127}$/;
/** Variables that choose what code runs, or where runctl itself looks: a value that nobody sees must not change them. */
const RESERVED_NAME = /^((RUNCTL_|AWS_SSM_|LD_|PYTHON).*|PATH|HOME|USER|LOGNAME|SHELL|LANG|IFS|ENV|BASH_ENV|TMPDIR)$/s;
const REFERENCE = new RegExp(
  '^(?:' +
    'ssm:(?:arn:aws[a-z-]*:ssm:[a-z0-9-]+:\\d{12}:parameter/)?[A-Za-z0-9_./-]{1,1011}(?::[A-Za-z0-9_.-]{1,100})?' +
    '|' +
    'secretsmanager:(?:arn:aws[a-z-]*:secretsmanager:[a-z0-9-]+:\\d{12}:secret:)?[A-Za-z0-9/_+=.@-]{1,512}(?:#[ -~]{1,128})?' +
    ')$',
);
/** What an example looks like, in messages. */
const FORMS = 'ssm:/path/name or secretsmanager:name#key';

export function isSecretReference(text: string): boolean {
  return REFERENCE.test(text);
}

/** The spec's `secrets`: references by the name of the variable. No message has a value: it may be the secret itself. */
export const secretsSchema = z
  .record(
    z.string().check(z.regex(NAME)),
    z.string().check(z.regex(REFERENCE, `is not a reference such as ${FORMS}. Never write the value itself`)),
  )
  .check(
    z.refine((secrets) => Object.keys(secrets).length <= MAX_SECRETS, `has more than ${MAX_SECRETS} names`),
    (payload) => {
      for (const name of Object.keys(payload.value).filter((name) => RESERVED_NAME.test(name)))
        payload.issues.push({
          code: 'custom',
          input: name,
          path: [name],
          message: 'is a name that secrets may not set: runctl, the shell or Python reads it. Use another',
        });
    },
    z.describe(
      `Environment of install and training whose values the instance reads with its role: ${FORMS}. A reference is not secret.`,
    ),
  );

/** The names that stand in both maps. */
export function namesInBoth(
  env: Readonly<Record<string, string>>,
  secrets: Readonly<Record<string, string>>,
): readonly string[] {
  return Object.keys(secrets).filter((name) => Object.hasOwn(env, name));
}

/** `TOKENIZERS_PARALLELISM` is the switch of a Hugging Face library, and no token. */
const SECRET_WORD = /(SECRET|TOKEN(?!IZ)|PASSWORD|PASSWD|API_?KEY|PRIVATE_?KEY|ACCESS_?KEY|CREDENTIAL)/i;

export function isSecretName(name: string): boolean {
  return SECRET_WORD.test(name);
}

/** Names in `env` that look like secrets, and have a value: it is visible in the execution's history. */
export function secretLookingNames(env: Readonly<Record<string, string>>): string[] {
  return Object.keys(env).filter((name) => env[name] !== '' && (isSecretName(name) || /_KEY$/i.test(name)));
}

/** The warning about one of {@link secretLookingNames}. */
export function secretWarning(name: string): string {
  return `env ${name} looks like a secret, and its value is visible in the execution's history. Store it in Parameter Store or Secrets Manager, and use secrets: ${name}: ssm:/path/name.`;
}
