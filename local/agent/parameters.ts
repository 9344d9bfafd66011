import type { DocumentContent, ParameterDefinition } from './document-content.ts';
import { ServiceError } from './service-error.ts';

/** Checks parameters as SendCommand does. @throws ServiceError InvalidParameters */
export function checkParameters(document: DocumentContent, given: Readonly<Record<string, readonly string[]>>): void {
  for (const [name, values] of Object.entries(given)) {
    const definition = document.parameters[name];
    if (definition === undefined) throw invalid(`Parameter "${name}" is not defined in the document.`);
    if (definition.type !== 'StringList' && values.length !== 1) {
      throw invalid(`Parameter "${name}" of type ${definition.type} takes exactly one value, not ${values.length}.`);
    }
    for (const value of values) {
      const problem = valueProblem(definition, value);
      if (problem !== undefined) throw invalid(`Parameter "${name}" ${problem}.`);
    }
  }
  for (const [name, definition] of Object.entries(document.parameters)) {
    if (given[name] === undefined && definition.default === undefined) {
      throw invalid(`Parameter "${name}" requires a value.`);
    }
  }
}

/** The agent's check of allowedPattern: the name of the first parameter that fails it, or undefined. */
export function patternProblem(
  document: DocumentContent,
  given: Readonly<Record<string, readonly string[]>>,
): string | undefined {
  for (const [name, definition] of Object.entries(document.parameters)) {
    for (const value of given[name] ?? []) {
      if (!matches(definition, value)) return name;
    }
  }
  return undefined;
}

function valueProblem(definition: ParameterDefinition, value: string): string | undefined {
  if (!matches(definition, value)) return `value does not match the pattern ${definition.allowedPattern}`;
  if (definition.allowedValues !== undefined && !definition.allowedValues.includes(value)) {
    return `value is not one of ${definition.allowedValues.join(', ')}`;
  }
  if (definition.minChars !== undefined && value.length < definition.minChars)
    return `is shorter than ${definition.minChars}`;
  if (definition.maxChars !== undefined && value.length > definition.maxChars)
    return `is longer than ${definition.maxChars}`;
  return undefined;
}

// Unanchored, as in Go.
function matches(definition: ParameterDefinition, value: string): boolean {
  return definition.allowedPattern === undefined || new RegExp(definition.allowedPattern).test(value);
}

function invalid(message: string): ServiceError {
  return new ServiceError('InvalidParameters', message);
}
