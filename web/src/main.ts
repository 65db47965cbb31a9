import { mount } from "svelte";
import App from "./App.svelte";
import "./app.css";
import { text } from "./lib/text.svelte";

const target = document.getElementById("app");
if (target) void text.begin().then(() => mount(App, { target }));
