/** Ways in which a job may try to keep a process after its run, as Python. Each creates the file `ready` when it runs. */
export const ESCAPES: Readonly<Record<string, string>> = {
  'a chain of forks, each in a session of its own, that ignores TERM': `
signal.signal(signal.SIGTERM, signal.SIG_IGN)
signal.signal(signal.SIGCHLD, signal.SIG_IGN)
if os.fork() == 0:
    os.setsid()
    open("ready", "w").close()
    end = time.time() + 120
    while time.time() < end:
        if os.fork() != 0: os._exit(0)
        os.setsid()
time.sleep(300)`,
  'sixty chains of forks': `
signal.signal(signal.SIGTERM, signal.SIG_IGN)
signal.signal(signal.SIGCHLD, signal.SIG_IGN)
for lane in range(60):
    if os.fork() == 0:
        os.setsid()
        end = time.time() + 120
        while time.time() < end:
            if os.fork() != 0: os._exit(0)
            os.setsid()
open("ready", "w").close()
time.sleep(300)`,
  'a daemon by double fork': `
ready = os.path.abspath("ready")
if os.fork() == 0:
    os.setsid()
    if os.fork() == 0:
        os.chdir("/")
        signal.signal(signal.SIGTERM, signal.SIG_IGN)
        signal.signal(signal.SIGHUP, signal.SIG_IGN)
        open(ready, "w").close()
        time.sleep(300)
    os._exit(0)
time.sleep(300)`,
  'a process that its parent halted': `
child = os.fork()
if child == 0:
    os.setsid()
    time.sleep(300)
os.kill(child, signal.SIGSTOP)
open("ready", "w").close()
time.sleep(300)`,
  'a process stopped by ptrace': `
import ctypes
child = os.fork()
if child == 0:
    os.setsid()
    ctypes.CDLL(None).ptrace(0, 0, 0, 0)
    os.kill(os.getpid(), signal.SIGSTOP)
    time.sleep(300)
os.waitpid(child, os.WUNTRACED)
open("ready", "w").close()
while True: time.sleep(1)`,
  'a PID namespace of its own, where it may have one': `
subprocess.Popen(["unshare", "--user", "--pid", "--fork", "--kill-child=SIGCONT", "sleep", "300"], start_new_session=True)
time.sleep(0.3)
open("ready", "w").close()
time.sleep(300)`,
  'a hundred children that ignore every signal': `
for number in signal.valid_signals() - {signal.SIGKILL, signal.SIGSTOP}: signal.signal(number, signal.SIG_IGN)
for i in range(100):
    if os.fork() == 0:
        os.setsid()
        time.sleep(300)
open("ready", "w").close()
time.sleep(300)`,
};
