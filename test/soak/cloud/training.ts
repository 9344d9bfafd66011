import { createHash } from 'node:crypto';

/**
 * Adds a hash in each step, and saves every tenth one. argv: steps, the file in which it notes what it loads and its
 * result (not on the instance's disk), and the file with which it is let to its end. Every other checkpoint is written
 * under its own name, so that a training that is killed leaves a part of one.
 */
export const TRAIN = `import hashlib, json, os, pickle, sys, time
steps, notes, hurry = int(sys.argv[1]), sys.argv[2], sys.argv[3]
attempt = int(os.environ["RUNCTL_ATTEMPT"])
folder = os.environ["RUNCTL_CHECKPOINT_DIR"]

def note(**what):
    with open(notes, "a") as file:
        file.write(json.dumps(dict(what, attempt=attempt)) + "\\n")

def add(digest, step):
    return hashlib.sha256(f"{digest}{step}".encode()).hexdigest()

def weights(digest):
    return hashlib.shake_256(digest.encode()).digest(100_000)

step, digest = 0, ""
source = os.environ.get("RUNCTL_RESUME_FROM")
if source:
    try:
        with open(source, "rb") as file:
            state = pickle.load(file)
    except Exception as error:
        note(kind="loaded", name=source, step=None, whole=False, error=repr(error))
        raise
    expected = ""
    for one in range(1, state["step"] + 1):
        expected = add(expected, one)
    whole = state["digest"] == expected and state["weights"] == weights(expected)
    note(kind="loaded", name=os.path.basename(source), step=state["step"], whole=whole)
    if not whole:
        sys.exit("the checkpoint is not what was saved")
    step, digest = state["step"], state["digest"]
else:
    note(kind="anew", step=0)
os.makedirs(folder, exist_ok=True)
saved = []
while step < steps:
    step += 1
    digest = add(digest, step)
    if not os.path.exists(hurry):
        time.sleep(0.1)
    if step % 10:
        continue
    print("step", step, digest, flush=True)
    path = f"{folder}/step-{step:06}.pkl"
    written = path if step % 20 else path + ".tmp"
    with open(written, "wb") as file:
        pickle.dump({"step": step, "weights": weights(digest), "digest": digest}, file)
    if written != path:
        os.rename(written, path)
    saved.append(path)
    if len(saved) > 10:
        os.remove(saved.pop(0))
while not os.path.exists(hurry):
    time.sleep(0.1)
note(kind="done", step=step, digest=digest)
print("digest", digest, flush=True)
`;

/** What a training has that nobody interrupts. */
export function digestOf(steps: number): string {
  let digest = '';
  for (let step = 1; step <= steps; step += 1) digest = createHash('sha256').update(`${digest}${step}`).digest('hex');
  return digest;
}

/** A line of what the trainings of a run have noted. */
export type Note =
  | { readonly kind: 'anew'; readonly attempt: number; readonly step: number }
  | { readonly kind: 'loaded'; readonly attempt: number; readonly step: number | null; readonly whole: boolean }
  | { readonly kind: 'done'; readonly attempt: number; readonly step: number; readonly digest: string };
