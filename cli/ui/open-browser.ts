import { spawn } from 'node:child_process';

/** Opens the person's browser. Whether that works shows there: the address is printed as well. */
export function openBrowser(url: string, platform = process.platform, env = process.env): void {
  const hasScreen = platform !== 'linux' || Boolean(env.DISPLAY || env.WAYLAND_DISPLAY || env.WSL_DISTRO_NAME);
  if (!hasScreen) return;
  const [program, args] =
    platform === 'darwin'
      ? (['open', [url]] as const)
      : platform === 'win32'
        ? (['rundll32', ['url.dll,FileProtocolHandler', url]] as const)
        : (['xdg-open', [url]] as const);
  const child = spawn(program, args, { stdio: 'ignore', detached: true });
  child.on('error', () => undefined); // there is no such program
  child.unref();
}
