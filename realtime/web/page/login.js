// The address that a session prints has the token behind the #, which no browser sends or logs.
const form = document.querySelector("#login");
const given = decodeURIComponent(location.hash.slice(1));
history.replaceState(null, "", location.pathname);
if (given === "wrong") {
  document.querySelector("#wrong").hidden = false;
} else if (given) {
  form.token.value = given;
  form.submit();
}
