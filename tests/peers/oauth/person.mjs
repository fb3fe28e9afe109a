// A person with a browser: signs in, allows, and comes back with the address that the application is called at.

export class Person {
  constructor(username, password) {
    this.username = username;
    this.password = password;
    this.cookies = new Map();
  }

  // Follows the authorization request up to the redirect to the application.
  async allow(address, callback) {
    let answer = await this.#fetch(address);
    for (let step = 0; step < 10; step++) {
      const location = answer.headers.get("location");
      if (location) {
        const next = new URL(location, answer.url);
        if (next.href.startsWith(callback)) return next;
        answer = await this.#fetch(next);
        continue;
      }
      answer = await this.#submit(answer);
    }
    throw new Error("never came back");
  }

  async #submit(page) {
    const html = await page.text();
    const form = html.match(/<main[^]*?<form[^>]*action="([^"]*)"[^]*?<\/form>/);
    if (!form) throw new Error(`${page.status} without a form: ${html}`);
    const fields = new URLSearchParams();
    for (const [, name, value] of form[0].matchAll(/type="hidden" name="([^"]*)" value="([^"]*)"/g)) {
      fields.set(name, unescape(value));
    }
    if (form[0].includes('name="password"')) {
      fields.set("username", this.username);
      fields.set("password", this.password);
    } else {
      fields.set("allow", "yes");
    }
    return this.#fetch(new URL(unescape(form[1]), page.url), { method: "POST", body: fields });
  }

  async #fetch(address, options = {}) {
    const cookie = [...this.cookies].map(([name, value]) => `${name}=${value}`).join("; ");
    const answer = await fetch(address, { ...options, redirect: "manual", headers: { cookie, accept: "text/html" } });
    for (const line of answer.headers.getSetCookie()) {
      const [, name, value] = line.match(/^([^=]*)=([^;]*)/);
      this.cookies.set(name, value);
    }
    return answer;
  }
}

function unescape(text) {
  return text.replaceAll("&#34;", '"').replaceAll("&#39;", "'").replaceAll("&lt;", "<").replaceAll("&gt;", ">")
    .replaceAll("&amp;", "&");
}
