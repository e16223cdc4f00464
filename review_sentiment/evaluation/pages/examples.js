"use strict";
{
  const list = document.getElementById("reviews");
  const items = [...list.children]; // in the order of the file
  const words = new Map(items.map((item) => [item, item.textContent.toLowerCase()]));
  const buttons = [...document.querySelectorAll("[data-group]")];
  const category = document.getElementById("category");
  const text = document.getElementById("text");
  let group = "";

  function ordered() {
    if (group === "") return items;
    const sign = group === "least_sure" ? 1 : -1;
    return [...items].sort((a, b) => sign * (a.dataset.confidence - b.dataset.confidence));
  }

  function show() {
    const wanted = text.value.trim().toLowerCase();
    let shown = 0;
    for (const item of ordered()) {
      const fits =
        (group === "" || item.dataset.groups.split(" ").includes(group)) &&
        (category.value === "" || item.dataset.category === category.value) &&
        words.get(item).includes(wanted);
      item.hidden = !fits;
      shown += fits;
      list.append(item);
    }
    for (const button of buttons) button.setAttribute("aria-pressed", String(button.dataset.group === group));
    document.getElementById("count").value = `${shown} shown`;
    document.getElementById("none").hidden = shown > 0;
  }

  for (const button of buttons) {
    button.addEventListener("click", () => {
      group = button.dataset.group;
      show();
    });
  }
  category.addEventListener("change", show);
  text.addEventListener("input", show);
  document.getElementById("filters").addEventListener("submit", (event) => event.preventDefault());
  document.getElementById("clear").addEventListener("click", () => {
    group = category.value = text.value = "";
    show();
    buttons[0].focus();
  });
}
