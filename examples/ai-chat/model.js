/** Stands for the call of a language model. */
export async function askModel(question) {
  return `You asked: ${question}`;
}
