// The live stock page. Every other page works without scripts.
const cell = (slug, kind) => document.querySelector(`#stock tr[data-slug="${slug}"] .${kind}`);
const said = (words) => { document.getElementById("said").textContent = words; };
const show = (line) => { if (line.slug) cell(line.slug, "left").textContent = line.left; };

const on = (id, start) => document.getElementById(id)?.addEventListener("click", start);

on("socket", () => {
  const socket = new WebSocket(`${location.protocol === "https:" ? "wss" : "ws"}://${location.host}/ws/stock`);
  socket.addEventListener("open", () => socket.send("hello"));
  socket.addEventListener("message", (message) => {
    const line = JSON.parse(message.data);
    if (line.echo) said(`the socket says: ${line.echo}`);
    show(line);
  });
  socket.addEventListener("close", () => said("the socket is closed"));
});

on("prices", () => {
  const source = new EventSource("/events/prices");
  source.addEventListener("price", (event) => {
    const { slug, price } = JSON.parse(event.data);
    cell(slug, "now").textContent = (price / 100).toFixed(2);
  });
});

on("refresh", async () => {
  const answer = await fetch("/api/stock");
  for (const line of await answer.json()) show(line);
  said("asked once");
});
