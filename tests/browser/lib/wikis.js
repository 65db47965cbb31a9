// Wikis as Debian packages them, each in a folder of its own: nginx in front of php-fpm, both on loopback.
import { execFile, spawn } from "node:child_process";
import { appendFile, chmod, chown, cp, mkdir, mkdtemp, readdir, readFile, rm, writeFile } from "node:fs/promises";
import { existsSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { promisify } from "node:util";
import { eventually, freePort } from "./programs.js";

const run = promisify(execFile);
const IS_ROOT = process.getuid() === 0;

function installed(path, from) {
  if (!existsSync(path)) throw new Error(`${path} is missing: apt-get install --no-install-recommends ${from}`);
  return path;
}

/** php-fpm has its version in its name. */
async function phpFpm() {
  const names = (await readdir("/usr/sbin")).filter((name) => /^php-fpm[\d.]*$/.test(name)).sort();
  return installed(join("/usr/sbin", names.at(-1) ?? "php-fpm"), "php-fpm");
}

/** Whom php-fpm works as: it does not as root. */
async function ids(user) {
  const [uid, gid] = await Promise.all(["-u", "-g"].map(async (flag) => Number((await run("id", [flag, user])).stdout)));
  return { uid, gid };
}

async function owned(folder, { uid, gid }) {
  await chown(folder, uid, gid);
  for (const entry of await readdir(folder, { withFileTypes: true, recursive: true })) {
    if (!entry.isSymbolicLink()) await chown(join(entry.parentPath ?? entry.path, entry.name), uid, gid);
  }
}

/** A program that runs until it is stopped. */
function started(command, args) {
  const child = spawn(command, args, { stdio: ["ignore", "pipe", "pipe"] });
  let said = "";
  for (const stream of [child.stdout, child.stderr]) stream.setEncoding("utf8").on("data", (text) => (said += text));
  const exit = new Promise((done) => child.once("exit", done));
  const stop = async () => {
    child.kill("SIGTERM");
    await exit;
  };
  return { stop, said: () => said };
}

/**
 * Serves PHP files of `root` from `folder`. `env` is told to PHP, `prepended` is a file that it runs first; `locations` are
 * more of nginx's. PHP may write in `writable`.
 */
async function servePhp({ folder, root, env = {}, prepended, locations = "", writable = [] }) {
  const port = await freePort();
  const socket = join(folder, "php.sock");
  await mkdir(join(folder, "tmp"), { recursive: true });
  if (IS_ROOT) {
    const owner = await ids("www-data");
    await chmod(folder, 0o755);
    for (const each of [join(folder, "tmp"), ...writable]) await owned(each, owner);
  }
  await writeFile(
    join(folder, "php-fpm.conf"),
    `[global]
daemonize = no
error_log = ${folder}/php.log
[www]
listen = ${socket}
listen.mode = 0666
${IS_ROOT ? "user = www-data\ngroup = www-data\n" : ""}pm = static
pm.max_children = 4
php_admin_value[session.save_path] = ${folder}/tmp
php_admin_value[upload_tmp_dir] = ${folder}/tmp
${prepended ? `php_admin_value[auto_prepend_file] = ${prepended}\n` : ""}${Object.entries(env)
      .map(([name, value]) => `env[${name}] = ${value}\n`)
      .join("")}`,
  );
  await writeFile(
    join(folder, "nginx.conf"),
    `daemon off;
pid ${folder}/nginx.pid;
error_log stderr warn;
${IS_ROOT ? "user www-data;\n" : ""}events {}
http {
  include /etc/nginx/mime.types;
  access_log ${folder}/access.log;
${["client_body", "proxy", "fastcgi", "uwsgi", "scgi"].map((each) => `  ${each}_temp_path ${folder}/tmp/${each};\n`).join("")}
  server {
    listen 127.0.0.1:${port};
    root ${root};
    index index.php doku.php;
    port_in_redirect off;
    absolute_redirect off;
    ${locations}
    location ~ \\.php(/|$) {
      fastcgi_split_path_info ^(.+\\.php)(/.*)$;
      include /etc/nginx/fastcgi_params;
      fastcgi_param SCRIPT_FILENAME $document_root$fastcgi_script_name;
      fastcgi_param PATH_INFO $fastcgi_path_info;
      fastcgi_pass unix:${socket};
    }
  }
}
`,
  );
  const php = started(await phpFpm(), ["-y", join(folder, "php-fpm.conf"), "-F", ...(IS_ROOT ? ["-R"] : [])]);
  const nginx = started(installed("/usr/sbin/nginx", "nginx"), ["-p", folder, "-c", join(folder, "nginx.conf")]);
  const stop = async () => {
    await nginx.stop();
    await php.stop();
    await rm(folder, { recursive: true, force: true });
  };
  const url = `http://127.0.0.1:${port}`;
  const said = async () => {
    const log = await readFile(join(folder, "php.log"), "utf8").catch(() => "nothing");
    return `nginx said:\n${nginx.said().slice(-2000)}\nphp-fpm said:\n${php.said()}${log.slice(-2000)}`;
  };
  try {
    await eventually(`the wiki at ${url}`, 20_000, async () => (await fetch(url, { redirect: "manual" })).status < 400);
  } catch (error) {
    const told = await said();
    await stop();
    throw new Error(`${error.message}\n${told}`, { cause: error });
  }
  return { url, port, stop, said };
}

export const USER = "alice";
export const PASSWORD = "a long secret of hers";

/** DokuWiki with some pages, a user and the right to upload. It redirects to itself as `site`. */
export async function dokuWiki(site) {
  const root = installed("/usr/share/dokuwiki", "dokuwiki php-fpm php-xml php-mbstring nginx");
  const folder = await mkdtemp(join(tmpdir(), "visitlog-dokuwiki-"));
  const [conf, data] = [join(folder, "conf"), join(folder, "data")];
  await cp("/etc/dokuwiki", conf, { recursive: true, dereference: true });
  for (const name of [
    "attic", "cache", "index", "locks", "log", "media", "media_attic", "media_meta", "meta", "pages", "tmp",
  ]) {
    await mkdir(join(data, name), { recursive: true });
  }
  const page = (name, text) => writeFile(join(data, "pages", `${name}.txt`), text);
  await page("start", "====== Welcome ======\n\n[[tea]] and [[coffee]]\n");
  await page("tea", "====== Tea ======\n\nA drink that is brewed.\n");
  await page("coffee", "====== Coffee ======\n\nA drink, too.\n");
  const hash = (await run("php", ["-r", "echo password_hash($argv[1], PASSWORD_BCRYPT);", PASSWORD])).stdout;
  await writeFile(join(conf, "users.auth.php"), `# <?php exit()?>\n${USER}:${hash}:Alice:alice@example.org:user\n`);
  await writeFile(join(conf, "acl.auth.php"), "# <?php exit()?>\n*\t@ALL\t1\n*\t@user\t8\n");
  await appendFile(
    join(conf, "local.php"),
    `
$conf['savedir'] = '${data}';
$conf['baseurl'] = '${site}';
$conf['basedir'] = '/';
$conf['useacl'] = 1;
$conf['userewrite'] = 0;
$conf['updatecheck'] = 0;
`,
  );
  const prepended = join(folder, "prepended.php");
  await writeFile(prepended, `<?php define('DOKU_MAIN_CONF', '${conf}/'); define('DOKU_CONF', '${conf}/');\n`);
  return servePhp({ folder, root, prepended, writable: [data, conf], locations: "location ~ ^/(inc|bin|vendor)/ { deny all; }" });
}

/** MediaWiki on SQLite, with a user. It links to itself as `site`. */
export async function mediaWiki(site) {
  const packaged = installed("/usr/share/mediawiki", "mediawiki php-fpm php-sqlite3 php-mbstring php-xml php-intl nginx");
  const folder = await mkdtemp(join(tmpdir(), "visitlog-mediawiki-"));
  const [images, database] = [join(folder, "images"), join(folder, "database")];
  await Promise.all([mkdir(images), mkdir(database)]);
  await run(
    "php",
    [
      join(packaged, "maintenance/install.php"), "--dbtype", "sqlite", "--dbpath", database, "--confpath", folder,
      "--server", site, "--scriptpath", "", "--pass", PASSWORD, "--dbname", "wiki", "Wiki of the tests", "Alice",
    ],
    // Its installer refuses where a configuration is there already.
    { env: { ...process.env, MW_CONFIG_FILE: join(folder, "none.php") } },
  );
  const settings = join(folder, "LocalSettings.php");
  await appendFile(
    settings,
    `
$wgEnableUploads = true;
$wgUploadDirectory = '${images}';
$wgUploadPath = '/uploads';
$wgFileExtensions[] = 'txt';
$wgVerifyMimeType = false;
$wgSearchType = null;
$wgJobRunRate = 0;
$wgShowExceptionDetails = true;
wfLoadSkin( 'Vector' );
`,
  );
  return servePhp({
    folder,
    root: packaged,
    env: { MW_CONFIG_FILE: settings },
    writable: [images, database],
    locations: `location /uploads/ { alias ${images}/; }
    location ~ ^/(includes|maintenance|vendor|languages)/ { deny all; }`,
  });
}
